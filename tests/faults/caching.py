"""Faults: machine code on disk, and constants that are packed."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "machine code that others may write is believed",
        "engine/cache.py",
        "return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)",
        "return status.st_uid == os.geteuid()",
        "engine/test_cache.py::test_what_others_may_write_is_passed_over",
    ),
    Fault(
        "machine code that others own is believed",
        "engine/cache.py",
        "return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)",
        "return not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)",
        "engine/test_cache.py::test_what_others_own_is_passed_over",
    ),
    Fault(
        "a checksum holds for any kernel",
        "engine/cache.py",
        'return hashlib.sha256(f"{kernel} {key}\\n".encode() + body).digest()',
        "return hashlib.sha256(body).digest()",
        "engine/test_cache.py::test_a_file_of_another_kernel_or_key_is_passed_over",
    ),
    Fault(
        "a key forgets the modules that are imported",
        "engine/sources.py",
        "                waiting.append((package or plain).decode())\n",
        "",
        "engine/test_cache.py::test_an_edit_changes_the_keys_of_what_comes_of_it",
    ),
    Fault(
        "an edit while a process runs is not noticed",
        "engine/build.py",
        "if keys.key(kernel) != key:",
        "if False:",
        "engine/test_cache.py::test_what_is_compiled_is_what_the_key_says",
    ),
    Fault(
        "machine code may ask for anything",
        "engine/build.py",
        "    if needs - ALLOWED:\n",
        "    if False:\n",
        "engine/test_cache.py::test_kernels_that_need_too_much_are_refused",
    ),
    Fault(
        "orders go to a process that is ending",
        "engine/compilers.py",
        "        self._processes = []\n\n    def stop",
        "\n    def stop",
        "engine/test_cache.py::test_it_is_picked_up_between_runs",
    ),
    Fault(
        "what NumPy had packed is kept",
        "executable.py",
        "                packed.release()",
        "                pass",
        "engine/test_cache.py::test_first_in_numpy_then_fast",
    ),
]
