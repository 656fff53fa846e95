"""A glTF 2.0 file, .glb or .gltf: its JSON, the numbers of its accessors, and its pictures.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import base64
import json
import struct
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float

from ins3d.files.foreign import find_file, read_text
from ins3d.files.pictures import read_texture_picture

TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
COMPRESSIONS = {
    "KHR_draco_mesh_compression": "Draco", "EXT_meshopt_compression": "meshoptimizer",
    "KHR_meshopt_compression": "meshoptimizer", "KHR_texture_basisu": "Basis (KTX2)",
}  # fmt: skip
KTX2 = b"\xabKTX "
"""How such pictures begin."""


class GltfFile:
    """One file. Raises FileNotFoundError or ValueError, naming `setting`, for what is missing, compressed or no glTF."""

    def __init__(self, path: Path, setting: str) -> None:
        self.path, self.setting = path, setting
        self._read: dict[tuple[str, int], Any] = {}
        """Buffers and pictures by their numbers: they are large, and shared."""

    @cached_property
    def _file(self) -> tuple[dict[str, Any], bytes]:
        """(its JSON, the bytes that come with it)."""
        try:
            if self.path.suffix.lower() == ".gltf":
                return json.loads(read_text(self.path)), b""
            raw, chunks, place = self.path.read_bytes(), {}, 12
            while raw[:4] == b"glTF" and place + 8 <= len(raw):
                size, kind = struct.unpack_from("<I4s", raw, place)
                chunks.setdefault(kind, raw[place + 8 : place + 8 + size])
                place += 8 + size
            return json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0", b"")
        except (KeyError, ValueError, struct.error) as error:
            what = "is no glTF file that can be read; export it again, as .glb."
            if self.path.suffix.lower() == ".glb":
                what = "holds no triangles that can be read; export it as a mesh, with its faces."
            raise ValueError(f"{self.setting}: {self.path} {what}") from error

    @property
    def contents(self) -> dict[str, Any]:
        """Its JSON."""
        return self._file[0]

    def all(self, kind: str) -> list[Any]:
        """Everything of a kind: `nodes`, `meshes`, ..."""
        return self.contents.get(kind, [])

    def refuse_compressed(self, extension: str) -> NoReturn:
        """What is said where only an extension that is not read has the numbers."""
        raise ValueError(
            f"{self.setting}: {self.path} is compressed by {COMPRESSIONS[extension]}, which is not read; export it without "
            "compression."
        )

    def _bytes(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        found = find_file(self.path.parent, uri)
        if found is None:
            raise FileNotFoundError(
                f"{self.setting}: {self.path} needs {unquote(uri)}, which is not beside it; put it there, or use .glb."
            )
        return found.read_bytes()

    def _buffer(self, number: int) -> bytes:
        key = ("buffer", number)
        if key not in self._read:
            told = self.all("buffers")[number]
            compressed = next((name for name in told.get("extensions", {}) if name in COMPRESSIONS), None)
            if compressed is not None and "uri" not in told:
                self.refuse_compressed(compressed)  # a place for what is unpacked, and nothing in it
            found = self._read[key] = self._file[1] if "uri" not in told else self._bytes(told["uri"])
            if len(found) < told.get("byteLength", 0):
                raise ValueError(
                    f"{self.setting}: {self.path} ends before its shapes do (an interrupted copy?); copy it again."
                )
        return self._read[key]

    def _view(self, number: int) -> bytes:
        view = self.all("bufferViews")[number]
        start = view.get("byteOffset", 0)
        return self._buffer(view["buffer"])[start : start + view["byteLength"]]

    def accessor(self, number: int) -> np.ndarray:
        """Shape (count, numbers of each); normalised integers are in [-1, 1] or [0, 1]."""
        told = self.all("accessors")[number]
        dtype, size, count = np.dtype(TYPES[told["componentType"]]), SIZES[told["type"]], told["count"]
        values = np.zeros((count, size), dtype)
        if "bufferView" in told:
            stride = self.all("bufferViews")[told["bufferView"]].get("byteStride") or dtype.itemsize * size
            raw, start = self._view(told["bufferView"]), told.get("byteOffset", 0)
            values = np.ndarray((count, size), dtype, raw, start, (stride, dtype.itemsize)).copy()
        if sparse := told.get("sparse"):
            indices, given = sparse["indices"], sparse["values"]
            where = np.frombuffer(self._view(indices["bufferView"]), TYPES[indices["componentType"]], sparse["count"],
                                  indices.get("byteOffset", 0))  # fmt: skip
            raw = np.frombuffer(self._view(given["bufferView"]), dtype, sparse["count"] * size, given.get("byteOffset", 0))
            values[where] = raw.reshape(-1, size)
        if told.get("normalized") and dtype.kind in "iu":
            return np.maximum(values.astype(np.float64) / np.iinfo(dtype).max, -1.0)
        return values.astype(np.float64) if dtype.kind == "f" else values

    def has_numbers(self, number: int) -> bool:
        """Whether an accessor says any, itself."""
        told = self.all("accessors")[number]
        return "bufferView" in told or "sparse" in told

    def picture(self, number: int) -> Float[np.ndarray, "height width 3"]:
        """An image, as `read_texture_picture` reads it."""
        key = ("picture", number)
        if key not in self._read:
            told = self.all("images")[number]
            raw = self._bytes(told["uri"]) if "uri" in told else self._view(told["bufferView"])
            if raw.startswith(KTX2):
                self.refuse_compressed("KHR_texture_basisu")
            name = told.get("name") or (told.get("uri", "") if len(told.get("uri", "")) < 200 else "") or f"number {number}"
            self._read[key] = read_texture_picture(Path(f"{self.path} ({name})"), f"{self.setting}: the texture of", raw)
        return self._read[key]
