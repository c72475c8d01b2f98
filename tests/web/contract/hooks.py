"""What schemathesis can't read from the document: each key of an order is used for one order."""

from __future__ import annotations

import itertools
from typing import Any

import schemathesis

_KEY = "Idempotency-Key"
_number = itertools.count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Make a valid key the first of its name: a key is refused for a second order."""
    key = (case.headers or {}).get(_KEY)
    if isinstance(key, str) and key.isascii() and key.isprintable() and len(key) <= 256:
        case.headers[_KEY] = f"{next(_number)}-{key[:200]}"
