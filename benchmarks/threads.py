"""What several threads bring: python benchmarks/threads.py MODEL ... [--threads N] [--blocks N] [--seconds S]

For each model: the time of one thread, by how many times N are faster, and the time of N beside a process that is busy
on another core, over that of one there; all in turns, medians of ratios. Then two interpreters of one thread each in
two threads of Python, over one alone: twice the work in the same time is 2.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from network import BUSY, Runtimes

from minitfl import timing


def beside_busy(interpreters, blocks, seconds):
    core = max(os.sched_getaffinity(0))
    busy = subprocess.Popen([sys.executable, "-c", BUSY, str(core)])
    try:
        return timing.in_turns(interpreters, blocks, seconds).ratio(0, 1)
    finally:
        busy.kill()
        busy.wait()


def together(path, blocks, seconds):
    """How many invokes two interpreters in two threads do while one does one."""
    pair = [Runtimes(path)["minitfl", 1].invoke for _ in range(2)]
    return statistics.median(_together(pair, seconds) for _ in range(blocks))


def _together(pair, seconds):
    def count(call):
        end, done = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            call()
            done += 1
        counts.append(done)

    counts = []
    count(pair[0])
    workers = [threading.Thread(target=count, args=(call,)) for call in pair]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    alone, *both = counts
    return sum(both) / alone


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each block (0.1)")
    options = parser.parse_args()
    print(f"{'model':28}{'ms':>9}{'times':>8}{'busy':>8}{'two':>8}")
    for path in options.models:
        runtimes = Runtimes(path)
        one, more = (runtimes["minitfl", n].invoke for n in (1, options.threads))
        turns = timing.in_turns((one, more), options.blocks, options.seconds)
        busy = beside_busy((more, one), options.blocks, options.seconds) if hasattr(os, "sched_setaffinity") else 0
        two = together(path, options.blocks, options.seconds)
        figures = (1e3 * turns.seconds(0), turns.ratio(0, 1), busy, two)
        print(
            f"{Path(path).stem:28}{figures[0]:9.3f}" + "".join(f"{figure:8.2f}" for figure in figures[1:]), flush=True
        )


if __name__ == "__main__":
    main()
