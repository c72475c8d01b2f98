# cython: language_level=3, boundscheck=False, wraparound=False
"""OTLP's protobuf of traces read off the wire, compiled from this very source (Cython's pure mode).

It reads the few fields and attributes that are kept and steps over everything else, so that a
span's prompts are never so much as copied. What it yields is what `from_protobuf` yields, which
reads the same by protobuf's own library where nothing was compiled: then importing this fails.

Every read of a byte is checked against the end of the message that it is in; what runs past it,
and any wire type that OTLP doesn't use, is `Broken`. Text that is not UTF-8 is broken too, where
it is read.
"""

import cython

if not cython.compiled:
    raise ModuleNotFoundError("the reader of the wire format was not compiled")

from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
from cython.cimports.cpython.unicode import PyUnicode_DATA, PyUnicode_DecodeUTF8, PyUnicode_New
from cython.cimports.immune.intake.otlp.span import RawSpan
from cython.cimports.libc.string import memcmp, memcpy

from immune.intake.otlp import names
from immune.intake.otlp.nested import Broken, nested_value
from immune.intake.otlp.span import resource_of

_WANTED = {name.encode(): name for name in names.WANTED}
_RESOURCE = {name: name for name in names.RESOURCE_NAMES}
_EVENT = {name: name for name in names.EVENT_NAMES}
_PREFIXES = tuple(prefix.encode() for prefix in names.DIALECT_PREFIXES)

VARINT = cython.declare(cython.int, 0)
FIXED64 = cython.declare(cython.int, 1)
BYTES = cython.declare(cython.int, 2)
FIXED32 = cython.declare(cython.int, 5)
HEX = cython.declare(cython.p_const_uchar, b"0123456789abcdef")
PLACES_MAX = cython.declare(cython.int, 128)
LATE = cython.declare(cython.Py_ssize_t, 256)
LATE_SIZE_MAX = cython.declare(cython.Py_ssize_t, 64)


@cython.cclass
class _Wire:
    """A cursor over one body. `end` is always that of the innermost message being read."""

    body: bytes
    byte: cython.p_const_uchar
    at: cython.Py_ssize_t
    end: cython.Py_ssize_t
    field: cython.int
    kind: cython.int
    speaks: cython.bint
    place: cython.Py_ssize_t
    known: list
    late: list

    def __cinit__(self, body: bytes):
        self.body = body
        self.byte = cython.cast(cython.p_const_uchar, cython.cast(cython.p_char, body))
        self.end = len(body)
        # The attributes of the span before, by place: most spans have the same in the same order.
        # Of each: the key, the name that it is wanted by, whether it is in a dialect.
        self.known = []
        # Text that came of late: the same models are named again and again.
        self.late = [""] * LATE

    @cython.cfunc
    @cython.exceptval(check=True)
    def varint(self) -> cython.ulonglong:
        value: cython.ulonglong = 0
        shift: cython.int = 0
        one: cython.ulonglong
        while shift < 64:
            if self.at >= self.end:
                raise Broken("a number is cut short")
            one = self.byte[self.at]
            self.at += 1
            value |= (one & 0x7F) << shift
            if one < 0x80:
                return value
            shift += 7
        raise Broken("a number has more than 64 bits")

    @cython.cfunc
    @cython.exceptval(-1)
    def next(self) -> cython.bint:
        """Go on to the next field of the message; False at its end."""
        if self.at >= self.end:
            return False
        tag: cython.ulonglong = self.varint()
        if tag >> 3 == 0 or tag >> 3 > 536_870_911:
            raise Broken("a field has no number")
        self.field = cython.cast(cython.int, tag >> 3)
        self.kind = cython.cast(cython.int, tag & 7)
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def stop(self) -> cython.Py_ssize_t:
        """Where the bytes end that begin here."""
        length: cython.ulonglong = self.varint()
        if length > cython.cast(cython.ulonglong, self.end - self.at):
            raise Broken("a field runs past its message")
        return self.at + cython.cast(cython.Py_ssize_t, length)

    @cython.cfunc
    @cython.exceptval(-1)
    def enter(self) -> cython.Py_ssize_t:
        """Go into the message that begins here; return the end of the one around it."""
        outer: cython.Py_ssize_t = self.end
        self.end = self.stop()
        return outer

    @cython.cfunc
    @cython.exceptval(-1)
    def leave(self, outer: cython.Py_ssize_t) -> cython.int:
        self.at = self.end
        self.end = outer
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def skip(self) -> cython.int:
        """Step over the field's value."""
        if self.kind == VARINT:
            self.varint()
        elif self.kind == BYTES:
            self.at = self.stop()
        elif self.kind == FIXED64 or self.kind == FIXED32:
            self.fixed(8 if self.kind == FIXED64 else 4)
        else:
            raise Broken("a field is of no type that OTLP uses")
        return 0

    @cython.cfunc
    @cython.exceptval(check=True)
    def fixed(self, width: cython.Py_ssize_t) -> cython.ulonglong:
        """The number of so many bytes that begins here."""
        value: cython.ulonglong = 0
        if self.end - self.at < width:
            raise Broken("a number is cut short")
        memcpy(cython.address(value), self.byte + self.at, width)
        self.at += width
        return value

    @cython.cfunc
    def text(self) -> str:
        """The text that begins here: the same `str` as before, where it came of late."""
        stop: cython.Py_ssize_t = self.stop()
        start: cython.Py_ssize_t = self.at
        size: cython.Py_ssize_t = stop - start
        at: cython.p_const_char = cython.cast(cython.p_const_char, self.byte + start)
        self.at = stop
        if not 0 < size <= LATE_SIZE_MAX:
            return PyUnicode_DecodeUTF8(at, size, cython.NULL)
        slot: cython.Py_ssize_t = (size + 5 * self.byte[start] + 3 * self.byte[stop - 1]) % LATE
        late: str = self.late[slot]
        if len(late) == size and memcmp(PyUnicode_DATA(late), at, size) == 0:
            return late
        late = PyUnicode_DecodeUTF8(at, size, cython.NULL)
        # what is as long in characters as in bytes is ASCII, and lies in memory as it was sent
        self.late[slot] = late if len(late) == size else ""
        return late

    @cython.cfunc
    def hex(self) -> str:
        """The bytes that begin here in lower-case hex: how ids are told."""
        stop: cython.Py_ssize_t = self.stop()
        digits: str = PyUnicode_New(2 * (stop - self.at), 127)
        to: cython.p_uchar = cython.cast(cython.p_uchar, PyUnicode_DATA(digits))
        while self.at < stop:
            to[0] = HEX[self.byte[self.at] >> 4]
            to[1] = HEX[self.byte[self.at] & 15]
            to += 2
            self.at += 1
        return digits

    # --- attributes -----------------------------------------------------------------------

    @cython.cfunc
    @cython.exceptval(-1)
    def attribute(self, wanted: dict, into: dict) -> cython.int:
        """Take the attribute that begins here into `into`, if its name is wanted."""
        outer: cython.Py_ssize_t = self.enter()
        value_at: cython.Py_ssize_t = -1
        name: str = None
        while self.next():
            if self.field == 1 and self.kind == BYTES:
                name = self.key() if wanted is _WANTED else wanted.get(self.text())
            elif self.field == 2 and self.kind == BYTES:
                value_at = self.at
                self.skip()
            else:
                self.skip()
        if name is not None:
            if value_at < 0:
                into[name] = None
            else:
                self.at = value_at
                into[name] = self.value()
        return self.leave(outer)

    @cython.cfunc
    def key(self) -> str:
        """The name that a span's attribute is wanted by, None where it is not."""
        stop: cython.Py_ssize_t = self.stop()
        at: cython.p_const_char = cython.cast(cython.p_const_char, self.byte + self.at)
        size: cython.Py_ssize_t = stop - self.at
        place: cython.Py_ssize_t = self.place
        before: bytes
        known: tuple
        self.at = stop
        self.place += 1
        if place < len(self.known):
            known = self.known[place]
            before = known[0]
            if len(before) == size and memcmp(cython.cast(cython.p_char, before), at, size) == 0:
                self.speaks = self.speaks or known[2] is True
                return known[1]
        key: bytes = PyBytes_FromStringAndSize(at, size)
        known = (key, _WANTED.get(key), key.startswith(_PREFIXES))
        self.speaks = self.speaks or known[2] is True
        if place < len(self.known):
            self.known[place] = known
        elif place < PLACES_MAX:
            self.known.append(known)
        return known[1]

    @cython.cfunc
    def value(self) -> object:
        """The value of an attribute."""
        outer: cython.Py_ssize_t = self.enter()
        start: cython.Py_ssize_t = self.at
        told: object = None
        number: cython.double = 0
        while self.next():
            if self.field == 1 and self.kind == BYTES:
                told = self.text()
            elif self.field == 2 and self.kind == VARINT:
                told = self.varint() != 0
            elif self.field == 3 and self.kind == VARINT:
                told = cython.cast(cython.longlong, self.varint())
            elif self.field == 4 and self.kind == FIXED64:
                bits: cython.ulonglong = self.fixed(8)
                memcpy(cython.address(number), cython.address(bits), 8)
                told = number
            elif 5 <= self.field <= 7 and self.kind == BYTES:
                self.skip()
                told = nested_value(self.body[start : self.end])
            else:
                self.skip()
        self.leave(outer)
        return told

    # --- messages -------------------------------------------------------------------------

    @cython.cfunc
    @cython.exceptval(-1)
    def export(self, take: object) -> cython.int:
        while self.next():
            if self.field == 1 and self.kind == BYTES:
                self.resource_spans(take)
            else:
                self.skip()
        return 0

    @cython.cfunc
    @cython.exceptval(-1)
    def resource_spans(self, take: object) -> cython.int:
        outer: cython.Py_ssize_t = self.enter()
        start: cython.Py_ssize_t = self.at
        told: dict = {}
        while self.next():  # the resource may stand behind its spans
            if self.field == 1 and self.kind == BYTES:
                self.resource(told)
            else:
                self.skip()
        resource: object = resource_of(told)
        self.at = start
        while self.next():
            if self.field == 2 and self.kind == BYTES:
                self.scope_spans(resource, take)
            else:
                self.skip()
        return self.leave(outer)

    @cython.cfunc
    @cython.exceptval(-1)
    def resource(self, told: dict) -> cython.int:
        outer: cython.Py_ssize_t = self.enter()
        while self.next():
            if self.field == 1 and self.kind == BYTES:
                self.attribute(_RESOURCE, told)
            else:
                self.skip()
        return self.leave(outer)

    @cython.cfunc
    @cython.exceptval(-1)
    def scope_spans(self, resource: object, take: object) -> cython.int:
        outer: cython.Py_ssize_t = self.enter()
        start: cython.Py_ssize_t = self.at
        around: cython.Py_ssize_t
        scope: str = ""
        while self.next():
            if self.field == 1 and self.kind == BYTES:
                around = self.enter()
                while self.next():
                    if self.field == 1 and self.kind == BYTES:
                        scope = self.text()
                    else:
                        self.skip()
                self.leave(around)
            else:
                self.skip()
        self.at = start
        while self.next():
            if self.field == 2 and self.kind == BYTES:
                take(self.span(resource, scope))
            else:
                self.skip()
        return self.leave(outer)

    @cython.cfunc
    def span(self, resource: object, scope: str) -> RawSpan:
        outer: cython.Py_ssize_t = self.enter()
        raw: RawSpan = RawSpan.__new__(RawSpan)
        raw.trace_id = raw.span_id = raw.parent_id = raw.name = ""
        raw.flags = raw.status_code = raw.start_ns = raw.end_ns = 0
        raw.wanted = {}
        raw.resource = resource
        raw.scope = scope
        of_events: dict = {}
        self.speaks = False
        self.place = 0
        while self.next():
            if self.field == 9 and self.kind == BYTES:
                self.attribute(_WANTED, raw.wanted)
            elif self.field == 1 and self.kind == BYTES:
                raw.trace_id = self.hex()
            elif self.field == 2 and self.kind == BYTES:
                raw.span_id = self.hex()
            elif self.field == 4 and self.kind == BYTES:
                raw.parent_id = self.hex()
            elif self.field == 5 and self.kind == BYTES:
                raw.name = self.text()
            elif self.field == 7 and self.kind == FIXED64:
                raw.start_ns = self.fixed(8)
            elif self.field == 8 and self.kind == FIXED64:
                raw.end_ns = self.fixed(8)
            elif self.field == 11 and self.kind == BYTES:
                self.event(of_events)
            elif self.field == 15 and self.kind == BYTES:
                raw.status_code = self.status()
            elif self.field == 16 and self.kind == FIXED32:
                raw.flags = self.fixed(4)
            else:
                self.skip()
        self.leave(outer)
        if of_events:
            raw.wanted.update(of_events)
        raw.speaks = self.speaks
        return raw

    @cython.cfunc
    @cython.exceptval(-1)
    def event(self, into: dict) -> cython.int:
        outer: cython.Py_ssize_t = self.enter()
        speaks: cython.bint = self.speaks
        while self.next():
            if self.field == 3 and self.kind == BYTES:
                self.attribute(_EVENT, into)
            else:
                self.skip()
        self.speaks = speaks
        return self.leave(outer)

    @cython.cfunc
    @cython.exceptval(-1)
    def status(self) -> cython.int:
        outer: cython.Py_ssize_t = self.enter()
        code: cython.int = 0
        while self.next():
            if self.field == 3 and self.kind == VARINT:
                code = cython.cast(cython.int, self.varint() & 0x7FFFFFFF)
            else:
                self.skip()
        self.leave(outer)
        return code


def read(body: bytes, take: object) -> None:
    """Hand each span of an export request to `take`; raises Broken where it is none."""
    try:
        _Wire(body).export(take)
    except UnicodeDecodeError:
        raise Broken("text is not UTF-8") from None
