"""The demo's lines come in the order of their time."""

from __future__ import annotations

from immune.run.chronicle import Chronicle


def test_what_is_known_late_is_told_in_its_place() -> None:
    """A line waits for those before it; of one time, the first that was noted goes first."""
    said: list[tuple[str, str]] = []
    chronicle = Chronicle(1000.0, lambda text, tone: said.append((text, tone)))
    chronicle.note(1024.2, "b", "quiet")
    chronicle.note(1024.1, "a", "alarm")
    chronicle.note(1024.2, "c", "good")
    chronicle.note(1025.0, "d", "quiet")
    chronicle.tell(1024.5)
    assert said == [
        ("   24.1 s  a", "alarm"),
        ("   24.2 s  b", "quiet"),
        ("   24.2 s  c", "good"),
    ]
    chronicle.tell(2000.0)
    assert said[3:] == [("   25.0 s  d", "quiet")]
