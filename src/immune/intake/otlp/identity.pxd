# cython: language_level=3
"""The C types of `identity`: where it is compiled, and only there, what its names hold."""

cimport cython


@cython.final
@cython.no_gc
cdef class Identity:
    cdef readonly str agent_id
    cdef readonly object rule


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Agent:
    cdef readonly str immune_id
    cdef readonly str agent_id
    cdef readonly str name
    cdef readonly str agent_type
    cdef readonly str service
    cdef readonly bint named

    cpdef Identity identity(self)


cpdef Agent told_by(object span)
cpdef Agent joined(Agent own, Agent around)
cpdef Agent completed(Agent agent, object span)
cpdef bint same(Agent one, Agent other)
cdef bint _differ(Agent own, Agent around)
cdef bint _differs(str mine, str theirs)
