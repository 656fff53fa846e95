"""Reads PLY and STL by trimesh, and what their headers say of textures."""

import logging
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

from ins3d.files.foreign import find_file
from ins3d.files.pictures import SUFFIXES, read_texture_picture
from ins3d.meshes.triangles import CLAY, SurfaceMesh

logging.getLogger("trimesh").addHandler(logging.NullHandler())  # else it prints a traceback for each texture
Own = Float[np.ndarray, "vertices 3"]


def read_ply(path: Path, setting: str) -> tuple[SurfaceMesh, Own]:
    """(the mesh; its vertices as they are in the file). ValueError, naming `setting`, for what trimesh does not read."""
    shape = _loaded(path, setting)
    raw = shape.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    own = np.asarray(shape.vertices) if raw is None else np.stack([np.ravel(raw[axis]) for axis in "xyz"], axis=-1)
    vertices, faces = np.asarray(shape.vertices, float), np.asarray(shape.faces).astype(np.int64)
    visual: Any = shape.visual
    notes: list[str] = []
    if visual.kind == "face":
        tints = np.asarray(visual.face_colors)[:, None, :3].repeat(3, axis=1) / 255
        return SurfaceMesh(vertices, faces, colors=((1.0, 1.0, 1.0),), corner_tints=tints), own
    colors = np.asarray(visual.vertex_colors)[:, :3] / 255 if visual.kind == "vertex" else None
    uv = getattr(visual, "uv", None)
    if uv is None or not len(faces):
        return SurfaceMesh(vertices, faces, vertex_colors=colors), own
    textures = [read_texture_picture(file, f"{setting}: the texture") for file in _textures(path, setting, notes)]
    numbers = _numbers(shape, len(faces), len(textures), path, notes)
    return SurfaceMesh(
        vertices, faces, np.asarray(uv, float)[faces], tuple(textures), (CLAY,) * max(len(textures), 1), numbers,
        None if textures else colors, notes=tuple(notes),
    ), own  # fmt: skip


def read_stl(path: Path, setting: str) -> tuple[SurfaceMesh, Own]:
    """The same of an STL, which has no colours."""
    shape = _loaded(path, setting)
    return SurfaceMesh(np.asarray(shape.vertices, float), np.asarray(shape.faces).astype(np.int64)), np.asarray(
        shape.vertices
    )


def _loaded(path: Path, setting: str) -> trimesh.Trimesh:
    try:
        # Not its path: textures are read by our own reader, which says what is missing.
        shape = trimesh.load(BytesIO(_with_usual_names(path.read_bytes())), file_type=path.suffix[1:].lower(), process=False)
        if isinstance(shape, trimesh.Scene):  # a PLY of points, an STL of several solids
            shape = trimesh.util.concatenate([part for part in shape.geometry.values() if isinstance(part, trimesh.Trimesh)])
    except Exception as error:  # readers of junk raise anything
        raise ValueError(
            f"{setting}: {path} holds no triangles that can be read; export it as a mesh, with its faces."
        ) from error
    return shape if isinstance(shape, trimesh.Trimesh) else trimesh.Trimesh()


def _with_usual_names(raw: bytes) -> bytes:
    """A PLY whose colours have the names that trimesh knows; others write diffuse_red, or r."""
    head, end, body = raw.partition(b"end_header")
    if not raw.startswith(b"ply") or re.search(rb"property\s+\w+\s+red\b", head):
        return raw
    words = {b"r": b"red", b"g": b"green", b"b": b"blue"}
    pattern = rb"(property\s+\w+\s+)(?:diffuse_(red|green|blue)|(r|g|b))(?=\s)"
    return re.sub(pattern, lambda found: found[1] + (found[2] or words[found[3]]), head) + end + body


def _textures(path: Path, setting: str, notes: list[str]) -> list[Path]:
    """Those that the header names; where it names none, a picture of the file's own name beside it."""
    with path.open("rb") as file:
        head = file.read(100_000).partition(b"end_header")[0].decode("utf-8", "replace")
    found = []
    for name in re.findall(r"^comment\s+TextureFile\s+(.+?)\s*$", head, re.MULTILINE | re.IGNORECASE):
        texture = find_file(path.parent, name)
        if texture is None:
            raise FileNotFoundError(
                f"{setting}: the texture {name} of {path} is missing; put it beside it (folders and capitals in its name do "
                "not matter)."
            )
        found.append(texture)
    if found:
        return found
    own = find_file(path.parent, path.stem, SUFFIXES)
    what = f"{own.name} is taken for it" if own else "it gets the colour of clay (a picture of its own name would be taken)"
    notes.append(f"{path.name} has places in a texture and names none: {what}.")
    return [own] if own else []


def _numbers(shape: trimesh.Trimesh, count: int, textures: int, path: Path, notes: list[str]) -> np.ndarray | None:
    """Which texture each triangle has, where there are several."""
    if textures < 2:
        return None
    raw = shape.metadata.get("_ply_raw", {}).get("face", {}).get("data", {})
    numbers = raw["texnumber"] if "texnumber" in (getattr(raw, "dtype", None) and raw.dtype.names or raw) else ()
    if len(numbers) == count:
        return np.clip(np.asarray(numbers).ravel().astype(int), 0, textures - 1)
    notes.append(f"{path.name} has {textures} textures and does not say which triangle has which: all get the first.")
    return None
