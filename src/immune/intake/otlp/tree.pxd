# cython: language_level=3
"""The C types of `tree`: where it is compiled, and only there, what its names hold."""

cimport cython
from immune.intake.otlp.identity cimport Agent, completed, joined, same, told_by


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Tool:
    cdef readonly object anchor
    cdef readonly unsigned long long start_ns
    cdef readonly list members
    cdef Run run
    cdef readonly str scope
    cdef Call inside


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Call:
    cdef readonly object anchor
    cdef readonly unsigned long long start_ns
    cdef readonly list members
    cdef readonly Agent agent
    cdef readonly bint names_itself
    cdef readonly object around
    cdef Run run
    cdef readonly str scope
    cdef readonly str root
    cdef readonly list tools
    cdef readonly bint tools_known
    cdef readonly Call successor


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Run:
    cdef readonly object anchor
    cdef readonly list members
    cdef readonly Agent agent
    cdef readonly Run outer
    cdef readonly str root
    cdef readonly bint wraps
    cdef readonly list calls
    cdef readonly list tools
    cdef readonly list loose

    cdef bint idle(self)


@cython.final
@cython.no_gc
cdef class Tree:
    cdef readonly bint whole
    cdef readonly list calls
    cdef readonly list runs
    cdef readonly dict unused


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class _Place:
    cdef str root
    cdef str scope
    cdef bint open_above
    cdef Agent agent
    cdef Run run
    cdef Call call
    cdef Tool tool
    cdef bint in_chain


@cython.final
@cython.no_gc
cdef class _Reader:
    cdef bint complete
    cdef bint whole
    cdef list calls
    cdef list tools
    cdef list runs
    cdef dict unused

    @cython.locals(place=_Place)
    cdef descend(self, object top, dict children, set seen)
    @cython.locals(own=Agent, agent=Agent, around=Agent, below=_Place)
    cdef _Place place(self, object span, _Place place)
    @cython.locals(call=Call, itself=bint)
    cdef _Place _model(self, object span, _Place place, Agent own, Agent agent)
    @cython.locals(tool=Tool, around=Agent)
    cdef _Place _tool(self, object span, _Place place, Agent agent)
    @cython.locals(run=Run, again=bint)
    cdef _Place _agent(self, object span, _Place place, Agent own, Agent agent)
    cdef bint _chain_runs(self, object span, _Place place, Agent own, Agent agent)
    @cython.locals(run=Run)
    cdef _Place _run(self, object span, _Place place, Agent agent)
    @cython.locals(calls=list, tools=list, runs=list)
    cdef Tree tree(self)
    @cython.locals(call=Call, tool=Tool)
    cdef _point_back_no_more(self)
    @cython.locals(run=Run, outer=Run, tool=Tool)
    cdef list _real_runs(self)
    @cython.locals(
        by_scope=dict, by_parent=dict, siblings=list, call=Call, before=Call, tool=Tool, cause=Call
    )
    cdef _assign_tools(self)
    @cython.locals(first_tool=dict, tool=Tool, first=Tool, call=Call, following=Call)
    cdef _tell_none_from_unknown(self)


@cython.locals(
    reader=_Reader, ordered=list, children=dict, tops=list, whole=bint, seen=set
)
cpdef Tree read_trace(dict spans, bint complete)
cdef _Place _top_place(object span)
cdef _Place _around(_Place place, Agent agent, Run run, Call call, Tool tool)
cdef Call _latest_before(Tool tool, list calls)
