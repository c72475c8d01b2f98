# cython: language_level=3
"""The C types of `trace`: where it is compiled, and only there, what its names hold."""

cimport cython
from immune.intake.otlp.identity cimport Agent, same
from immune.intake.otlp.tree cimport Call, Run, Tree


@cython.final
@cython.no_gc
cdef class Trace:
    cdef readonly str trace_id
    cdef readonly object before
    cdef Agent _agent
    cdef bint _several
    cdef dict _runs
    cdef readonly dict spans
    cdef readonly double came
    cdef readonly double touched
    cdef dict later
    cdef public dict emitted
    cdef readonly bint rooted
    cdef public double due
    cdef public object leftover

    cpdef hold(self, object span, double now)
    cpdef double arrived(self, str span_id)
    cpdef tell(self, Agent agent, object run)
    cpdef whose(self)
    cpdef missing(self, object span)
    cpdef let_go(self)
    cpdef bint note(self, list members, Py_ssize_t tools, dict emitted)
    @cython.locals(call=Call, run=Run)
    cpdef what_is_left(self, Tree tree)
    cdef Py_ssize_t _missed(self, object anchor, Py_ssize_t tools)
