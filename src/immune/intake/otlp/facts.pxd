# cython: language_level=3
"""The C types of `facts`: where it is compiled, and only there, what its names hold."""

cimport cython

cdef int _NUMBER, _TEXT, _NAME, _PROVIDER
cdef Py_ssize_t _ODD, _NAME_LENGTH_MAX
cdef dict _PLANS
cdef list _BLANK


@cython.locals(
    present=tuple, found=list, none=bint, place=Py_ssize_t, filling=int, candidates=tuple, text=str
)
cpdef facts_of(dict wanted)
cpdef str clean(str text)
