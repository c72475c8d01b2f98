# cython: language_level=3
"""The C types of `assemble`: where it is compiled, and only there, what its names hold."""

cimport cython
from immune.intake.otlp.identity cimport Agent, Identity
from immune.intake.otlp.steps cimport call_vital, is_sound, run_vital
from immune.intake.otlp.trace cimport Trace
from immune.intake.otlp.tree cimport Call, Run, Tree, read_trace


cdef class TraceAssembler:
    cdef double _settle_s
    cdef double _timeout_s
    cdef double _nameless_s
    cdef Py_ssize_t _max_spans
    cdef Py_ssize_t _max_trace_spans
    cdef object _traces
    cdef Py_ssize_t _held
    cdef dict _due
    cdef list _dues
    cdef object _past
    cdef object _known
    cdef object _named_around
    cdef list _gone
    cdef object _services
    cdef readonly object unmapped
    cdef readonly object identity_rule

    @cython.locals(trace=Trace, vitals=list)
    cpdef list feed(self, object spans, double now)
    cdef _hold(self, Trace trace, object span, double now)
    cdef Trace _oldest(self)
    @cython.locals(trace=Trace)
    cpdef Py_ssize_t restore(self, object entries, double now)
    @cython.locals(vitals=list)
    cpdef list shrink(self, double now)
    @cython.locals(trace=Trace, vitals=list)
    cpdef list flush(self, double now)
    @cython.locals(vitals=list)
    cpdef list drain(self, double now)
    @cython.locals(together=list)
    cdef _schedule(self, Trace trace, double due)
    @cython.locals(
        settled=double, quiet=double, given_up=double, late=bint, soon=double, following=double,
        tree=Tree, calls=list, runs=list, call=Call, run=Run,
    )
    cdef _look(self, Trace trace, double now, list vitals)
    @cython.locals(following=Call)
    cdef bint _call_is_ready(self, Call call, Trace trace, double now, bint late)
    cdef bint _run_is_ready(self, Run run, Trace trace, double now, bint late)
    cdef bint _has_settled(self, str span_id, Trace trace, double now)
    cdef bint _stays_nameless(self, object span, bint late)
    cdef list _cut(self, Trace trace, double now)
    @cython.locals(tree=Tree, vitals=list)
    cdef list _finish(self, Trace trace, double now)
    @cython.locals(call=Call, run=Run, identity=Identity, emitted=dict, agent=Agent)
    cdef _emit(self, list calls, list runs, Trace trace, double now, list vitals)
    @cython.locals(agent_id=str)
    cdef _give(self, object vital, Identity identity, Agent agent, double now, list vitals)
    cdef Agent _whose(self, Agent agent, object anchor, Trace trace)
    cdef Py_ssize_t _named_before(self, tuple source)
    cdef _learn(self, object anchor, Trace trace, bint named)


cdef _note(object latest, object key, object value, Py_ssize_t most)
cdef str _why(object refused, object vital, double now)
cdef tuple _source(object span)
