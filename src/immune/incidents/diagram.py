"""The state table drawn: what the docs show is made from what the code obeys."""

from __future__ import annotations

from immune.incidents import events as e
from immune.incidents.states import CLOSED, FENCED, TABLE


def mermaid() -> str:
    """Return the table as a Mermaid state diagram; fenced states are marked."""
    lines = ["stateDiagram-v2", "    [*] --> suspected", "    [*] --> observed: fleet"]
    for state, row in TABLE.items():
        labels: dict[str, list[str]] = {}
        for event, targets in row.items():
            for target in targets:
                if target is not state:
                    labels.setdefault(target, []).append(e.name(event))
        lines += [f"    {state} --> {to}: {', '.join(names)}" for to, names in labels.items()]
    lines += [f"    {state} --> [*]" for state in TABLE if state in CLOSED]
    lines.append("    classDef fenced stroke-width:3px")
    lines.append(f"    class {','.join(s for s in TABLE if s in FENCED)} fenced")
    return "\n".join(lines)


def table() -> str:
    """Return the table as Markdown, one row for each state and event."""
    lines = ["| state | event | leads to |", "|---|---|---|"]
    for state, row in TABLE.items():
        for event, targets in row.items():
            to = " or ".join("itself" if t is state else t for t in targets)
            lines.append(f"| {state} | {e.name(event)} | {to} |")
    return "\n".join(lines)
