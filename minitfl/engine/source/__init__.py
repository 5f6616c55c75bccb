"""The fast kernels as Numba source and vector code; compiled by `minitfl.engine.build` alone.

A module has a dict KERNELS: name -> function(block, slots, first, last) -> int64. block is the address of the
instruction's words, slots that of the table of addresses; the units of work first..last - 1 are done. 0 says that all
went well.
"""
