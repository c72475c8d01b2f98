"""Notices in the log: what is told when nobody has set anything else."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from immune.incidents.effects import Notify

log = structlog.get_logger(__name__)


class LogNotifier:
    """Writes each notice as one line; never fails."""

    async def send(self, notices: Sequence[Notify]) -> None:
        for notice in notices:
            log.warning(
                "notice",
                topic=str(notice.topic),
                text=notice.text,
                agent_id=notice.agent_id or None,
                incident_id=notice.incident_id or None,
                severity=round(notice.severity, 1),
            )
