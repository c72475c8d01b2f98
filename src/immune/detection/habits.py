"""What the rules beside the statistic have learned of each agent, kept with its baseline.

The rhythm that silence is judged by, and the loops that a person called normal.
"""

from __future__ import annotations

import msgspec

from immune.columns import Names
from immune.detection.params import DetectionParams
from immune.detection.repetition import Repetition, SavedPatterns
from immune.detection.silence import SavedRhythm, Silence


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    rhythm: SavedRhythm
    patterns: SavedPatterns


class Habits:
    """The rules that remember."""

    def __init__(self, params: DetectionParams, names: Names) -> None:
        rules, budget = params.rules, params.budgets.false_suspicions_per_agent_day
        self.silence = Silence(rules.silence, names, budget)
        self.repetition = Repetition(rules.repetition, names)

    def retire(self, agent: int) -> None:
        """Drop all that is known of an agent."""
        self.silence.retire(agent)
        self.repetition.retire(agent)

    def save(self, agent: int) -> bytes:
        """Return what is known of an agent."""
        saved = _Saved(self.silence.save(agent), self.repetition.save(agent))
        return msgspec.msgpack.encode(saved)

    def load(self, agent: int, data: bytes) -> None:
        """Take up what `save` returned."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self.silence.load(agent, saved.rhythm)
        self.repetition.load(agent, saved.patterns)
