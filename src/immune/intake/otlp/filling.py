# cython: language_level=3, boundscheck=False, wraparound=False
"""The facts of a span, compiled from this very source (Cython's pure mode).

It gives what `facts.facts_in_python` gives, by the same plans and in the same order; what may fill
a field is told there. Where nothing was compiled, importing this module fails, and `span` takes
that one.
"""

import cython

if not cython.compiled:
    raise ModuleNotFoundError("the reader of facts was not compiled")

from immune.intake.otlp import facts, names
from immune.vitals import ID_LENGTH_MAX

_PLANS = cython.declare(dict, facts.PLANS)
_BLANK = cython.declare(list, facts.BLANK)
_NO_PROVIDERS = cython.declare(frozenset, names.NO_PROVIDERS)
_Facts = cython.declare(object, facts.Facts)
_NO_FACTS = cython.declare(object, facts.NO_FACTS)
ODD = cython.declare(cython.Py_ssize_t, facts.ODD)
TEXT_MAX = cython.declare(cython.Py_ssize_t, ID_LENGTH_MAX)
NAME_MAX = cython.declare(cython.Py_ssize_t, facts.IDENTITY_LENGTH_MAX)
COUNT_MAX = cython.declare(object, facts.COUNT_MAX)
NUMBER = cython.declare(cython.int, facts.NUMBER)
TEXT = cython.declare(cython.int, facts.TEXT)
NAME = cython.declare(cython.int, facts.NAME)


def facts_of(wanted: dict):
    """Return the facts that these attributes tell; see `facts.facts_in_python`."""
    present: tuple = tuple(wanted)
    plan: tuple = _PLANS.get(present) or facts.plan(present)
    found: list = _BLANK.copy()
    none: cython.bint = True
    row: tuple
    candidates: tuple
    text: str
    filling: cython.int
    for row in plan:
        filling = row[1]
        candidates = row[2]
        for name in candidates:
            value = wanted[name]
            if filling == NUMBER:
                if type(value) is int or type(value) is float:
                    if 0 <= value <= COUNT_MAX:
                        found[row[0]] = float(value)
                        none = False
                        break
                    found[ODD] = True
                    none = False
            elif type(value) is str:
                text = value
                if filling == NAME:
                    if text:
                        found[row[0]] = text if len(text) <= NAME_MAX else text[:NAME_MAX]
                        none = False
                        break
                elif (
                    0 < len(text) <= TEXT_MAX
                    and text.isprintable()
                    and (filling == TEXT or text not in _NO_PROVIDERS)
                ):
                    found[row[0]] = text
                    none = False
                    break
    return _NO_FACTS if none else _Facts(*found)
