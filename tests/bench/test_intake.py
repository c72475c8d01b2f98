"""The bench of the intake finds the server that it has started."""

from __future__ import annotations

from immune.bench.intake import port_told

SERVING = b'{"address": "http://127.0.0.1:40123/", "event": "serving", "level": "info"}\n'


def test_the_server_may_say_other_things_first() -> None:
    """The line with the address is waited for, to its end; what came before it is no address."""
    before = b'{"event": "copied before migration"}\nlibrary: UserWarning: old\n'
    assert port_told(b"") is None
    assert port_told(before) is None
    assert port_told(before + SERVING[:-1]) is None
    assert port_told(before + SERVING + b'{"event": "away"}\n') == 40123
