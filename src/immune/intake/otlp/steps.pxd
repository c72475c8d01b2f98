# cython: language_level=3
"""The C types of `steps`: where it is compiled, and only there, what its names hold."""

cimport cython
from immune.intake.otlp.facts cimport clean
from immune.intake.otlp.identity cimport Agent
from immune.intake.otlp.tree cimport Call, Run, Tool


cpdef call_vital(Call call, str agent_id, object received_at, object source)
@cython.locals(calls=list, call=Call)
cpdef run_vital(Run run, str agent_id, object received_at, object source)
@cython.locals(at=double)
cpdef bint is_sound(object vital, double now)
cdef bint _may_be(object value)
cdef _facts(list members)
cdef _latency_ms(object span)
cdef _output_tokens(object facts)
cdef _attempts_failed(Call call, object facts)
@cython.locals(retries=double, call=Call)
cdef _retries(Run run, list facts)
@cython.locals(calls=list, tool=Tool)
cdef tuple _tool_calls(list tools)
cdef str _prompt_hash(list members)
cdef bint _failed(object span)
cdef _error_type(object facts)
cdef _agent_type(Agent agent)
cdef _sum(list values)
cdef _either(object value, object other)
cdef _first(list texts)
cdef _most_used(list texts)
