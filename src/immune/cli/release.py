"""``immune release``: let an agent go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from immune.cli import options

if TYPE_CHECKING:
    from immune.cli.remote import Remote


def release(
    target: Annotated[
        str, typer.Argument(metavar="INCIDENT|AGENT", help="An incident, or an agent's id.")
    ],
    verdict: Annotated[
        options.Verdict | None,
        typer.Option(help="What it was; needed to end an incident.", show_default=False),
    ] = None,
    version: options.Version = None,
    yes: options.Yes = False,
    why: options.Why = "",
    cause: Annotated[
        str, typer.Option(metavar="CAUSE", help="The true cause, if the diagnosis is wrong.")
    ] = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Let an agent go: end its incident with a verdict, lift the holds of people.

    [bold]false_alarm[/bold]: it was well all along. [bold]new_normal[/bold]: it changed for good,
    and that is fine. [bold]fixed_by_hand[/bold]: somebody repaired it; the cure is watched.

    On a terminal the case is shown and you are asked. Elsewhere say which version you saw with
    [bold]--version[/bold].
    """
    from immune.cli.remote import Remote

    with Remote(server) as remote:
        _Release(remote, verdict, version, yes, who, why, cause).of(target)


class _Release:
    """What is said of whatever is let go."""

    def __init__(
        self,
        remote: Remote,
        verdict: options.Verdict | None,
        version: int | None,
        yes: bool,
        who: str,
        why: str,
        cause: str,
    ) -> None:
        self._remote = remote
        self._verdict = verdict
        self._version = version
        self._yes = yes
        self._who = who
        self._why = why
        self._cause = cause

    def of(self, target: str) -> None:
        """Let go of an incident, or of all that holds an agent."""
        from immune.cli.remote import SaidNo, incident_path

        try:
            self._remote.get(incident_path(target))
        except SaidNo as no:
            if no.status != 404:
                raise
            self._agent(target)
        else:
            self._end(target)

    def _end(self, incident_id: str) -> None:
        from immune.cli.deciding import send, version_seen
        from immune.errors import InvalidInput

        if self._verdict is None:
            raise InvalidInput(
                "--verdict", f"say what {incident_id} was: {', '.join(options.Verdict)}"
            )
        question = f"Let it go as {self._verdict}?"
        seen = version_seen(self._remote, incident_id, question, self._version, self._yes)
        said = {"verdict": str(self._verdict), "why": self._why, "cause": self._cause}
        send(self._remote, incident_id, seen, "release", self._who, **said)

    def _agent(self, agent_id: str) -> None:
        from immune.cli.remote import agent_path, login, read
        from immune.cli.shapes import AgentDetail
        from immune.cli.show import console
        from immune.errors import NotFound

        seen = read(self._remote.get(agent_path(agent_id)), AgentDetail)
        held = any(fence.incident_id is None for fence in seen.fences)
        if not held and seen.agent.incident_id is None:
            raise NotFound(f"nothing holds {agent_id}: it has no open incident and no fence")
        if seen.agent.incident_id is not None:
            self._end(seen.agent.incident_id)
        if held:
            said = {"who": self._who or login(), "why": self._why}
            self._remote.post(agent_path(agent_id, "release"), said)
            console.print(f"done: people's holds on {agent_id} are lifted")
