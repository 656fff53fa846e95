"""Reads glTF 2.0 into one mesh: triangles where their nodes, skeletons and morph weights put them, and how they look.

Our own, because trimesh leaves out second layouts, KHR_texture_transform and colours of vertices beside a material, without
a word: version 5.2 shows none of the seven files of case m03 in its colour (2026-11-28). Extensions: KHR_mesh_quantization,
and those of `gltf_looks`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ins3d.meshes.gltf_file import COMPRESSIONS, GltfFile
from ins3d.meshes.gltf_looks import WHITE, GltfLooks, Look
from ins3d.meshes.triangles import SurfaceMesh

Matrices = Float[np.ndarray, "*vertices 4 4"]


@dataclass(frozen=True)
class Part:
    """The triangles of one primitive, where they stand."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    look: Look


class GltfReader:
    """One file. Raises FileNotFoundError or ValueError, naming `setting`, for what is missing, compressed or no glTF."""

    def __init__(self, path: Path, setting: str) -> None:
        self.path, self.setting = path, setting
        self.file = GltfFile(path, setting)
        self.looks = GltfLooks(self.file)
        self.notes = self.looks.notes

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
        for name in self.file.all("extensionsRequired"):
            if name in COMPRESSIONS:
                self.file.refuse_compressed(name)
        parts = [part for part in self._parts() if len(part.faces)]
        if not parts:
            return SurfaceMesh(np.zeros((0, 3)), np.zeros((0, 3), int))
        counts = [len(part.faces) for part in parts]
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
        vertices = np.concatenate([part.vertices for part in parts])
        faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])
        looks = {(id(part.look.texture), part.look.color): part.look for part in parts}
        numbers = {look: number for number, look in enumerate(looks)}
        uvs = [np.zeros((len(part.faces), 3, 2)) if part.look.uvs is None else part.look.uvs[part.faces] for part in parts]
        mesh = SurfaceMesh(
            vertices, faces,
            np.concatenate(uvs) if any(part.look.uvs is not None for part in parts) else None,
            tuple(look.texture for look in looks.values()), tuple(look.color for look in looks.values()),
            np.repeat([numbers[id(part.look.texture), part.look.color] for part in parts], counts), notes=tuple(self.notes),
        )  # fmt: skip
        return _tinted(mesh, parts)

    # ---- nodes

    @cached_property
    def _worlds(self) -> dict[int, Float[np.ndarray, "4 4"]]:
        """Where each node stands."""
        nodes = self.file.all("nodes")
        below = {child for node in nodes for child in node.get("children", [])}
        waiting = [(number, np.eye(4)) for number in range(len(nodes)) if number not in below]
        worlds: dict[int, Float[np.ndarray, "4 4"]] = {}
        while waiting:
            number, above = waiting.pop(0)
            if number in worlds:
                raise ValueError(f"node {number} lies below two others, or below itself")
            worlds[number] = above @ _matrix(nodes[number])
            waiting += [(child, worlds[number]) for child in nodes[number].get("children", [])]
        return worlds

    def _shown(self) -> Iterator[int]:
        """The nodes of the scene."""
        nodes, scenes = self.file.all("nodes"), self.file.all("scenes")
        below = {child for node in nodes for child in node.get("children", [])}
        tops = [number for number in range(len(nodes)) if number not in below]
        waiting = scenes[self.file.contents.get("scene", 0)].get("nodes", []) if scenes else tops
        while waiting:
            number, *waiting = waiting
            if number not in self._worlds:
                raise ValueError(f"node {number} lies below itself")
            yield number
            waiting = [*waiting, *nodes[number].get("children", [])]

    def _parts(self) -> Iterator[Part]:
        for number in dict.fromkeys(self._shown()):
            node, matrix = self.file.all("nodes")[number], self._worlds[number]
            if "EXT_mesh_gpu_instancing" in node.get("extensions", {}):
                self.notes[f"{self.path.name} has instances (EXT_mesh_gpu_instancing), of which one is read."] = None
            if "mesh" in node:
                mesh = self.file.all("meshes")[node["mesh"]]
                for primitive in mesh["primitives"]:
                    places = self._places(primitive, node.get("weights", mesh.get("weights", [])))
                    matrices = self._bones(primitive["attributes"], node["skin"]) if "skin" in node else matrix
                    yield self._part(primitive, places, matrices)

    # ---- shapes

    def _places(self, primitive: dict[str, Any], weights: list[float]) -> Float[np.ndarray, "vertices 3"]:
        position = primitive["attributes"]["POSITION"]
        compressed = next((name for name in primitive.get("extensions", {}) if name in COMPRESSIONS), None)
        if compressed is not None and not self.file.has_numbers(position):
            self.file.refuse_compressed(compressed)
        places = self.file.accessor(position).astype(np.float64)
        for weight, target in zip(weights, primitive.get("targets", []), strict=False):
            if weight and "POSITION" in target:
                places = places + weight * self.file.accessor(target["POSITION"])
        return places

    def _bones(self, attributes: dict[str, int], skin: int) -> Matrices:
        """Of each vertex: what its joints do, as the file's pose has them; the node's own place does not count then."""
        told = self.file.all("skins")[skin]
        worlds = np.stack([self._worlds[joint] for joint in told["joints"]])
        if "inverseBindMatrices" in told:
            worlds = worlds @ self.file.accessor(told["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        sets = [name.removeprefix("JOINTS_") for name in sorted(attributes) if name.startswith("JOINTS_")]
        joints, weights = (
            np.concatenate([self.file.accessor(attributes[f"{kind}_{each}"]) for each in sets], axis=1)
            for kind in ("JOINTS", "WEIGHTS")
        )  # fmt: skip
        weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-30)
        bones = np.zeros((len(joints), 4, 4))
        for joint, weight in zip(joints.T, weights.T, strict=True):
            bones += weight[:, None, None] * worlds[joint.astype(int)]
        return bones

    def _part(self, primitive: dict[str, Any], places: Float[np.ndarray, "vertices 3"], matrices: Matrices) -> Part:
        vertices = (matrices[..., :3, :3] @ places[..., None])[..., 0] + matrices[..., :3, 3]
        count = np.arange(len(places))
        corners = count if "indices" not in primitive else self.file.accessor(primitive["indices"])[:, 0]
        faces = _faces(corners.astype(np.int64), primitive.get("mode", 4))
        mirrored = np.linalg.det(matrices[..., :3, :3]).mean() < 0
        return Part(vertices, faces[:, ::-1] if mirrored else faces, self.looks.of(primitive))


def _tinted(mesh: SurfaceMesh, parts: list[Part]) -> SurfaceMesh:
    """Colours of vertices alone stay that; beside others they multiply."""
    looks = [part.look for part in parts]
    tints = [np.ones((len(part.vertices), 3)) if part.look.tints is None else part.look.tints for part in parts]
    each = np.concatenate(tints)
    if all(look.tints is not None and look.texture is None and look.color == WHITE for look in looks):
        return replace(mesh, vertex_colors=each)
    return mesh if all(look.tints is None for look in looks) else replace(mesh, corner_tints=each[mesh.faces])


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
