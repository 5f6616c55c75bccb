"""Object code of kernels on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class Store:
    """A folder with a file for each kernel: the symbol's length and name, then the object code."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def get(self, kernel: str) -> tuple[str, bytes] | None:
        try:
            data = (self.folder / kernel).read_bytes()
        except OSError:
            return None
        length = int.from_bytes(data[:4], "little")
        return data[4 : 4 + length].decode(), data[4 + length :]

    def put(self, kernel: str, symbol: str, code: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = symbol.encode()
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(len(name).to_bytes(4, "little") + name + code)
        os.replace(file.name, self.folder / kernel)
