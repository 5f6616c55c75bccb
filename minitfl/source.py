"""Where a model's bytes come from: given by the caller, read from a file at once, or mapped from it."""

from __future__ import annotations

import contextlib
import gc
import mmap as mapping
import os
from typing import Any

_INVALID = "The model is not a valid Flatbuffer buffer"


class Source:
    """The bytes of one model, and the path they came from. `content` is bytes or a read-only memory map."""

    def __init__(self, content: bytes | mapping.mmap | None, name: str = "", given: bool = False):
        self.content = content
        self.mapped = isinstance(content, mapping.mmap)
        self.name = name
        self.given = given  # by the caller as model_content

    def check(self) -> None:
        """Raises RuntimeError if the mapped file has become shorter: reading beyond its end would kill the process.

        A file that is cut between this check and the reading of its last page still does; who maps a file must not
        let others truncate it (replacing it by renaming another over it is safe).
        """
        if isinstance(self.content, mapping.mmap) and self.content.size() < len(self.content):
            raise RuntimeError(
                f"the mapped model file '{self.name}' was cut to {self.content.size()} bytes of {len(self.content)}"
            )

    def bytes(self) -> bytes:
        """The whole content; a copy only where the file is mapped."""
        return self.content if isinstance(self.content, bytes) else bytes(self.content or b"")

    def share(self) -> Source:
        """The same content for another interpreter, which may outlive this one."""
        return Source(self.content, self.name, self.given)

    def close(self) -> None:
        content, self.content = self.content, None
        if isinstance(content, mapping.mmap):
            gc.collect()  # runtimes and their instances refer to each other
            with contextlib.suppress(BufferError):  # arrays or a clone refer to it; it goes with the last of them
                content.close()


def from_content(content: Any) -> Source:
    """bytes as they are, never copied."""
    if not isinstance(content, bytes):
        raise TypeError(
            "CreateWrapperFromBuffer(): incompatible function arguments: model_content must be bytes,"
            f" not {content.__class__.__name__}"
        )
    return Source(content, given=True)


def from_path(path: Any, mmap: bool = False) -> Source:
    """A file's content. ValueError where it can't be had; TypeError where `path` is not a path."""
    name = os.fspath(path)
    if isinstance(name, bytes) and name[4:8] == b"TFL3":
        raise ValueError("Could not open the model: model_path is a model's content, pass it as model_content")
    shown = os.fsdecode(name)
    if os.path.isdir(name):
        raise ValueError(f"Mmap of '{shown}' failed with error '21'. It is a directory, not a model file.")
    try:
        with open(name, "rb", buffering=0) as file:
            content = _map(file.fileno()) if mmap else file.readall()
    except (OSError, ValueError) as error:
        raise ValueError(f"Could not open '{shown}'. {error}") from error
    if not len(content):
        raise ValueError(f"{_INVALID}: '{shown}' is empty")
    return Source(content, shown)


def _map(file: int) -> Any:
    if os.fstat(file).st_size == 0:
        return b""
    return mapping.mmap(file, 0, access=mapping.ACCESS_READ)
