"""Words of source.threads: what threads share, and what one run needs."""

from minitfl.engine.blocks import layout

# Shared by the threads of a process. Each number is a place of 128 bytes, so that no two threads write the same line of
# a cache unless they have to; `job` is where the words of JOB begin.
SHARED = layout("Shared", "busy left done failed stop stalls job awake")
PLACE_NBYTES = 128

# the instruction that is being shared: written by the one who leads, before it opens `left`
JOB = layout("Job", "function block slots units chunk chunks threads")

# one program bound to memory
RUN = layout("Run", "code shared threads yield_at")
