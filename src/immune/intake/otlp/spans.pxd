# cython: language_level=3
"""The C types of `spans`: where it is compiled, and only there, what its names hold."""

cimport cython


cpdef role_of(dict attributes, bint speaks)
cdef _no_step(str kind)
cdef str _text(dict attributes, str name)
