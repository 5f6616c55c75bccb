"""The text of the modules that kernels come from: which modules each of them needs, and a digest of them all.

A kernel's machine code is as old as its sources; to edit one module does not make what comes of the others stale.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = "minitfl.engine.source"
ALWAYS = "minitfl.engine.build"  # how they are compiled
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(minitfl[\w.]*)[ \t]+import[ \t]+([\w, \t]*)|import[ \t]+(minitfl[\w.]*))", re.M
)


class Sources:
    """Modules by their full names, each read once: what was digested is what is compiled."""

    def __init__(self, root: Path = ROOT):
        self._root = root
        self._texts: dict[str, bytes | None] = {}
        self._digests: dict[str, str] = {}

    def text(self, module: str) -> bytes | None:
        """None where there is no such file; packages are none, as what is in their __init__.py changes no kernel."""
        if module not in self._texts:
            try:
                self._texts[module] = self.path(module).read_bytes()
            except OSError:
                self._texts[module] = None
        return self._texts[module]

    def path(self, module: str) -> Path:
        return self._root.joinpath(*module.split(".")).with_suffix(".py")

    def needs(self, module: str) -> list[str]:
        """The module, all of minitfl that it imports, and that these import; and how it is compiled."""
        found, waiting = {ALWAYS}, [module]
        while waiting:
            name = waiting.pop()
            text = self.text(name) if name not in found else None
            if text is None:
                continue
            found.add(name)
            for package, names, plain in _IMPORT.findall(text):
                waiting.append((package or plain).decode())
                waiting += [f"{package.decode()}.{n}" for n in names.decode().replace(",", " ").split()]
        return sorted(found)

    def digest(self, module: str) -> str:
        if module not in self._digests:
            digest = hashlib.sha256()
            for name in self.needs(module):
                text = self.text(name) or b""
                digest.update(f"{name} {len(text)}\n".encode() + text)
            self._digests[module] = digest.hexdigest()
        return self._digests[module]


def module_of(kernel: str) -> str:
    """The module of engine.source that has a kernel, "module.name"."""
    return f"{SOURCE}.{kernel.partition('.')[0]}"
