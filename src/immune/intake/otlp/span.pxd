# cython: language_level=3
"""The C types of `span`: where it is compiled, and only there, what its names hold."""

cimport cython
from immune.intake.otlp.facts cimport facts_of
from immune.intake.otlp.spans cimport role_of


@cython.final
@cython.no_gc
cdef class RawSpan:
    cdef readonly str trace_id
    cdef readonly str span_id
    cdef readonly str parent_id
    cdef readonly object flags
    cdef readonly str name
    cdef readonly unsigned long long start_ns
    cdef readonly unsigned long long end_ns
    cdef readonly object status_code
    cdef readonly dict wanted
    cdef readonly object resource
    cdef readonly str scope
    cdef readonly bint speaks


cdef Py_ssize_t _NAME_LENGTH_MAX
cdef object _MODEL, _TOOL, _AGENT

cpdef str fault_of(RawSpan raw)
@cython.locals(wanted=dict)
cpdef span_of(RawSpan raw, object salt)
