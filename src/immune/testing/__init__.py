"""Fakes of the ports that keep the same promises as the real ones, for tests of ours and of others.

Each passes the contract suite of its protocol. None of them starts a thread, opens a file or waits.
"""

from immune.testing.link import LinkCall, ScriptedLink
from immune.testing.notifier import RecordingNotifier
from immune.testing.telemetry import MemoryTelemetry
from immune.testing.workflow import MemoryWorkflow

__all__ = [
    "LinkCall",
    "MemoryTelemetry",
    "MemoryWorkflow",
    "RecordingNotifier",
    "ScriptedLink",
]
