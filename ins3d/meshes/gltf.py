"""Reads glTF 2.0, as .glb or .gltf: node transforms, and colours as the standard says (factor x texture x vertex colour).

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html; extensions: KHR_texture_transform, KHR_mesh_quantization,
EXT_texture_webp, EXT_texture_avif, KHR_materials_pbrSpecularGlossiness.
"""

import base64
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float, Int
from kornia.color import linear_rgb_to_rgb

from ins3d.files.foreign import find_file, read_text
from ins3d.files.pictures import read_texture_picture
from ins3d.meshes.triangles import CLAY, SurfaceMesh, converted, times

TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
COMPRESSIONS = {
    "KHR_draco_mesh_compression": "Draco", "EXT_meshopt_compression": "meshoptimizer",
    "KHR_meshopt_compression": "meshoptimizer", "KHR_texture_basisu": "Basis (KTX2)",
}  # fmt: skip
WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Part:
    """The triangles of one primitive, where they stand."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    uvs: Float[np.ndarray, "vertices 2"] | None
    """Rightwards and upwards."""
    tints: Float[np.ndarray, "vertices 3"] | None
    """sRGB."""
    color: tuple[float, float, float]
    texture: Float[np.ndarray, "height width 3"] | None


class GltfReader:
    """One file. Raises FileNotFoundError or ValueError, naming `setting`, for what is missing, compressed or no glTF."""

    def __init__(self, path: Path, setting: str) -> None:
        self.path, self.setting = path, setting
        self.notes: dict[str, None] = {}
        self._read: dict[tuple, Any] = {}
        """Textures by their number and factor: they are large, and shared."""

    def read(self) -> SurfaceMesh:
        """All parts as one mesh; no faces where there are none."""
        try:
            return self._joined()
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            if str(error).startswith(f"{self.setting}: "):
                raise
            raise ValueError(
                f"{self.setting}: {self.path} contradicts itself ({error!r}), which glTF does not allow; export it again."
            ) from error

    def _joined(self) -> SurfaceMesh:
        for name in self._all("extensionsRequired"):
            if name in COMPRESSIONS:
                raise ValueError(
                    f"{self.setting}: {self.path} is compressed by {COMPRESSIONS[name]}, which is not read; export it "
                    "without compression."
                )
        parts = [part for part in self._parts() if len(part.faces)]
        if not parts:
            return SurfaceMesh(np.zeros((0, 3)), np.zeros((0, 3), int))
        counts = [len(part.faces) for part in parts]
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
        vertices = np.concatenate([part.vertices for part in parts])
        faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])
        looks = {(id(part.texture), part.color): part for part in parts}
        numbers = {look: number for number, look in enumerate(looks)}
        uvs = [np.zeros((len(part.faces), 3, 2)) if part.uvs is None else part.uvs[part.faces] for part in parts]
        mesh = SurfaceMesh(
            vertices, faces,
            np.concatenate(uvs) if any(part.uvs is not None for part in parts) else None,
            tuple(part.texture for part in looks.values()), tuple(part.color for part in looks.values()),
            np.repeat([numbers[id(part.texture), part.color] for part in parts], counts), notes=tuple(self.notes),
        )  # fmt: skip
        return self._tinted(mesh, parts)

    def _tinted(self, mesh: SurfaceMesh, parts: list[Part]) -> SurfaceMesh:
        """Colours of vertices alone stay that; beside others they multiply."""
        tints = [np.ones((len(part.vertices), 3)) if part.tints is None else part.tints for part in parts]
        each = np.concatenate(tints)
        plain = all(part.tints is not None and part.texture is None and part.color == WHITE for part in parts)
        if plain:
            return replace(mesh, vertex_colors=each)
        return mesh if all(part.tints is None for part in parts) else replace(mesh, corner_tints=each[mesh.faces])

    # ---- the file

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

    def _all(self, kind: str) -> list[Any]:
        return self._file[0].get(kind, [])

    def _bytes(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        found = find_file(self.path.parent, uri) or find_file(self.path.parent, unquote(uri))
        if found is None:
            raise FileNotFoundError(
                f"{self.setting}: {self.path} needs {unquote(uri)}, which is not beside it; put it there, or use .glb."
            )
        return found.read_bytes()

    def _buffer(self, number: int) -> bytes:
        key = ("buffer", number)
        if key not in self._read:
            uri = self._all("buffers")[number].get("uri")
            found = self._read[key] = self._file[1] if uri is None else self._bytes(uri)
            if len(found) < self._all("buffers")[number].get("byteLength", 0):
                raise ValueError(
                    f"{self.setting}: {self.path} ends before its shapes do (an interrupted copy?); copy it again."
                )
        return self._read[key]

    def _view(self, number: int) -> bytes:
        view = self._all("bufferViews")[number]
        start = view.get("byteOffset", 0)
        return self._buffer(view["buffer"])[start : start + view["byteLength"]]

    def _accessor(self, number: int) -> np.ndarray:
        """Shape (count, numbers of each); normalised integers are in [-1, 1] or [0, 1]."""
        told = self._all("accessors")[number]
        dtype, size, count = np.dtype(TYPES[told["componentType"]]), SIZES[told["type"]], told["count"]
        values = np.zeros((count, size), dtype)
        if "bufferView" in told:
            stride = self._all("bufferViews")[told["bufferView"]].get("byteStride") or dtype.itemsize * size
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

    # ---- shapes

    def _parts(self) -> Iterator[Part]:
        nodes, scenes = self._all("nodes"), self._all("scenes")
        below = {child for node in nodes for child in node.get("children", [])}
        tops = [number for number in range(len(nodes)) if number not in below]
        roots = scenes[self._file[0].get("scene", 0)].get("nodes", []) if scenes else tops
        waiting = [(number, np.eye(4)) for number in roots]
        seen = set()
        while waiting:
            number, above = waiting.pop(0)
            if number in seen:
                raise ValueError(f"node {number} lies below two others, or below itself")
            seen.add(number)
            node = nodes[number]
            self._note_left_out(node)
            matrix = above @ _matrix(node)
            waiting += [(child, matrix) for child in node.get("children", [])]
            if "mesh" in node:
                for primitive in self._all("meshes")[node["mesh"]]["primitives"]:
                    yield self._part(primitive, matrix)

    def _note_left_out(self, node: dict[str, Any]) -> None:
        if "skin" in node:
            self.notes[f"{self.path.name} has a skeleton, which is not read: its shape is that of the file."] = None
        if "EXT_mesh_gpu_instancing" in node.get("extensions", {}):
            self.notes[f"{self.path.name} has instances (EXT_mesh_gpu_instancing), of which one is read."] = None

    def _part(self, primitive: dict[str, Any], matrix: Float[np.ndarray, "4 4"]) -> Part:
        attributes = primitive["attributes"]
        places = self._accessor(attributes["POSITION"]).astype(np.float64)
        vertices = places @ matrix[:3, :3].T + matrix[:3, 3]
        corners = np.arange(len(places)) if "indices" not in primitive else self._accessor(primitive["indices"])[:, 0]
        faces = _faces(corners.astype(np.int64), primitive.get("mode", 4))
        faces = faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else faces
        tints = None
        if "COLOR_0" in attributes:
            told = self._accessor(attributes["COLOR_0"])[:, :3]
            most = 1.0 if told.dtype.kind == "f" else float(np.iinfo(told.dtype).max)
            tints = converted(np.ascontiguousarray(told / most).clip(0, 1), linear_rgb_to_rgb)
        material = {} if primitive.get("material") is None else self._all("materials")[primitive["material"]]
        color, told = self._base(material)
        texture = None if told is None else self._texture(told["index"], color)
        uvs = None if texture is None or told is None else self._uvs(attributes, told)
        if texture is not None and uvs is None:
            self.notes[f"{self.path.name} has a texture without places in it, which is left out."] = None
            texture = None
        if texture is not None:
            color = WHITE
        elif min(color) > 0.999:
            color = CLAY if tints is None else WHITE  # a plain white is one that nobody chose
        return Part(vertices, faces, uvs, tints, color, texture)

    # ---- looks

    def _base(self, material: dict[str, Any]) -> tuple[tuple[float, float, float], dict[str, Any] | None]:
        """(factor as sRGB, which texture)."""
        if (mode := material.get("alphaMode", "OPAQUE")) != "OPAQUE":
            name = material.get("name", "a material")
            self.notes[f"{name} of {self.path.name} is transparent (alphaMode {mode}); it is painted as if it were not."] = (
                None
            )
        old = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
        told = material.get("pbrMetallicRoughness", {}) if old is None else old
        factor = told.get("baseColorFactor" if old is None else "diffuseFactor", [1.0, 1.0, 1.0, 1.0])
        red, green, blue = converted(np.array([factor[:3]], float).clip(0, 1), linear_rgb_to_rgb)[0].tolist()
        return (red, green, blue), told.get("baseColorTexture" if old is None else "diffuseTexture")

    def _uvs(self, attributes: dict[str, int], told: dict[str, Any]) -> Float[np.ndarray, "vertices 2"] | None:
        moved = told.get("extensions", {}).get("KHR_texture_transform", {})
        name = f"TEXCOORD_{moved.get('texCoord', told.get('texCoord', 0))}"
        if name not in attributes:
            return None
        values = self._accessor(attributes[name])
        u, v = (values * moved.get("scale", [1.0, 1.0])).T
        cos, sin = np.cos(moved.get("rotation", 0.0)), np.sin(moved.get("rotation", 0.0))
        across, down = moved.get("offset", [0.0, 0.0])
        return np.stack([cos * u + sin * v + across, 1 - (cos * v - sin * u + down)], axis=-1)

    def _texture(self, number: int, factor: tuple[float, float, float]) -> Float[np.ndarray, "height width 3"] | None:
        """A picture times the material's colour."""
        key = ("texture", number, factor)
        if key not in self._read:
            told = self._all("textures")[number]
            others = (each["source"] for each in told.get("extensions", {}).values() if "source" in each)
            source = told.get("source", next(others, None))
            if source is None:
                return None
            picture = self._picture(source)
            self._read[key] = picture if min(factor) > 0.999 else times(picture, np.array(factor)).astype(np.float32)
        return self._read[key]

    def _picture(self, number: int) -> Float[np.ndarray, "height width 3"]:
        key = ("picture", number)
        if key not in self._read:
            told = self._all("images")[number]
            raw = self._bytes(told["uri"]) if "uri" in told else self._view(told["bufferView"])
            name = told.get("name") or (told.get("uri", "") if len(told.get("uri", "")) < 200 else "") or f"number {number}"
            self._read[key] = read_texture_picture(Path(f"{self.path} ({name})"), f"{self.setting}: the texture of", raw)
        return self._read[key]


def _matrix(node: dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", [0.0, 0.0, 0.0, 1.0])
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", [1.0, 1.0, 1.0]))
    matrix[:3, 3] = node.get("translation", [0.0, 0.0, 0.0])
    return matrix


def _faces(corners: Int[np.ndarray, " corners"], mode: int) -> Int[np.ndarray, "faces 3"]:
    """Of triangles, a strip or a fan; none of points and lines."""
    if mode == 4:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    count = max(len(corners) - 2, 0)
    if mode == 5:
        strip = np.stack([corners[:count], corners[1 : count + 1], corners[2 : count + 2]], axis=1)
        strip[1::2] = strip[1::2, [1, 0, 2]]
        return strip
    if mode == 6:
        return np.stack([np.repeat(corners[:1], count), corners[1 : count + 1], corners[2 : count + 2]], axis=1)
    return np.zeros((0, 3), np.int64)
