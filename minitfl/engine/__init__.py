"""How kernels are made fast: programs of machine code over a table of addresses, run by one driver.

    isa        instruction sets, and which one this host has
    blocks     how a step's numbers lie in memory: layouts of int64 words
    emit/      a Call -> instructions: what is packed, which kernel runs on what
    program    the instructions of a plan
    source/    the kernels as Numba source and vector code; the only modules that import numba
    build      compiles them, in a process of its own, to object code
    cache      object code on disk
    library    names of kernels -> addresses
    pool       threads
    engine     what an interpreter sees of all this

Nothing here imports numba but `source` and `build`: a process that finds all it needs in the cache never loads it.
"""
