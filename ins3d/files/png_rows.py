"""Rows of pixels become a PNG file as they come: a picture of any height in the memory of a few rows."""

import struct
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngRows:
    """An 8-bit RGB file (PNG 1.2); Pillow and imageio write whole pictures only.

    The file is there under its name once all rows are; until then NAME.writing is.
    """

    def __init__(self, path: Path, height: int, width: int) -> None:
        self.path, self.height, self.width, self.num_rows = path, height, width, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self.aside = path.with_name(f"{path.name}.writing")
        self.file = self.aside.open("wb")
        self.file.write(SIGNATURE)
        # 8 bits, RGB, deflate, adaptive filters, not interlaced.
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        self.packer = zlib.compressobj(6)
        self.above = np.zeros((1, 3 * width), dtype=np.uint8)

    def add(self, rows: np.ndarray) -> None:
        """Rows x width x 3 in 0 to 255."""
        if rows.dtype != np.uint8 or rows.shape[1:] != (self.width, 3):
            raise ValueError(f"rows are {rows.dtype} of {rows.shape[1:]}; this file takes uint8 of ({self.width}, 3).")
        flat = rows.reshape(len(rows), -1)
        # Filter 2, "up": each row as what it adds to the one above, modulo 256.
        change = flat - np.concatenate([self.above, flat[:-1]])
        filtered = np.concatenate([np.full((len(rows), 1), 2, dtype=np.uint8), change], axis=1)
        self._chunk(b"IDAT", self.packer.compress(filtered.tobytes()))
        self.above = flat[-1:].copy()
        self.num_rows += len(rows)

    def __enter__(self) -> "PngRows":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        whole = kind is None and self.num_rows == self.height
        if whole:
            self._chunk(b"IDAT", self.packer.flush())
            self._chunk(b"IEND", b"")
        self.file.close()
        if whole:
            self.aside.replace(self.path)
            return
        self.aside.unlink()
        if kind is None:
            raise ValueError(f"{self.path}: {self.num_rows} of {self.height} rows were given.")

    def _chunk(self, name: bytes, contents: bytes) -> None:
        self.file.write(struct.pack(">I", len(contents)) + name + contents)
        self.file.write(struct.pack(">I", zlib.crc32(name + contents)))
