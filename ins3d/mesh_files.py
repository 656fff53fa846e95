"""Mesh files become triangles with their colours, and painted triangles become files that Blender opens."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import imageio.v3 as imageio
import numpy as np
import open3d as o3d
import torch
import trimesh
from jaxtyping import Float, Int
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb
from PIL import Image

from ins3d.field_files import replace_file
from ins3d.surface_mesh import CLAY, SurfaceMesh

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf")
LINEAR = (".glb", ".gltf")
MOST_OFFSET = 20_000
"""Distance from 0, in sizes of the mesh, beyond which 32-bit coordinates have lost its shape."""
MAP_OPTIONS = r"(?:-\S+(?:\s+(?:[-+.\d]+|on|off))+\s+)*"
"""Before the name of a texture in an .mtl file."""


def read_mesh(path: Path, setting: str) -> SurfaceMesh:
    """Reads OBJ, PLY, STL or GLB, with texture or vertex colours; polygons become triangles.

    `setting` is the option that the path came from: errors name it. Vertices that coincide become one, triangles without an
    area are left out. Raises FileNotFoundError or ValueError for what is no mesh that can be painted.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{setting}: {path} does not exist; give a mesh ({', '.join(SUFFIXES)}).")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{setting}: {path.suffix or path} is no mesh that is read; save it as {', '.join(SUFFIXES)}.")
    suffix = path.suffix.lower()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        says_colors = _check_obj(path, setting) if suffix == ".obj" else suffix in LINEAR
        if suffix == ".gltf":
            _check_gltf(path, setting)
        if suffix in (".ply", ".stl"):  # below, corners that are no numbers are lost
            _check_numbers(np.asarray(o3d.io.read_triangle_mesh(str(path)).vertices), path, setting)
        model = o3d.io.read_triangle_model(str(path))
    if not sum(len(part.mesh.triangles) for part in model.meshes):
        raise ValueError(f"{setting}: {path} holds no triangles; export the object as a mesh, with its faces.")
    mesh = _joined(
        [_part(part.mesh) for part in model.meshes], [part.material_idx for part in model.meshes], model.materials
    )
    if suffix in LINEAR:
        mesh = _from_linear(mesh)
    if not says_colors:
        mesh = replace(mesh, colors=(CLAY,) * len(mesh.colors))
    return _clean(mesh, path, setting)


def _check_obj(path: Path, setting: str) -> bool:
    """Whether the file says colours. open3d goes on without files that are missing, and without corners it cannot read."""
    text, says_colors = path.read_text(errors="replace"), False
    numbers = re.findall(r"^\s*v\s+(.*)$", text, re.MULTILINE)
    wrong = [line for line in numbers if re.search(r"nan|inf", line, re.IGNORECASE)]
    _check_numbers(np.full((len(wrong), 3), np.nan), path, setting)
    for name in re.findall(r"^\s*mtllib\s+(.+?)\s*$", text, re.MULTILINE):
        library = path.parent / name
        if not library.is_file():
            raise FileNotFoundError(
                f"{setting}: {path} needs {name}, which is not beside it; put it there, or delete the line mtllib."
            )
        materials = library.read_text(errors="replace")
        says_colors |= re.search(r"^\s*Kd\s", materials, re.MULTILINE) is not None
        for texture in re.findall(rf"^\s*map_Kd\s+{MAP_OPTIONS}(.+?)\s*$", materials, re.MULTILINE):
            _check_texture(library.parent / texture.replace("\\", "/"), library, setting)
    return says_colors


def _check_gltf(path: Path, setting: str) -> None:
    try:
        contents = json.loads(path.read_text())
        names = [each["uri"] for kind in ("buffers", "images") for each in contents.get(kind, []) if "uri" in each]
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{setting}: {path} is no glTF file that can be read; export it again, as .glb.") from error
    for name in (name for name in names if not name.startswith("data:")):
        if unquote(name) != name:  # open3d does not find it
            raise ValueError(f"{setting}: {path} needs {unquote(name)}; name it without blanks and accents, or use .glb.")
        if not (path.parent / name).is_file():
            raise FileNotFoundError(f"{setting}: {path} needs {name}, which is not beside it; put it there, or use .glb.")


def _check_texture(texture: Path, library: Path, setting: str) -> None:
    if not texture.is_file():
        raise FileNotFoundError(
            f"{setting}: the texture {texture.name} of {library} is missing; put it there, or delete the line map_Kd."
        )
    try:
        with Image.open(texture) as picture:
            picture.verify()
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f"{setting}: the texture {texture} is not a picture that can be read; save it as png or jpg."
        ) from error


def _check_numbers(vertices: np.ndarray, path: Path, setting: str) -> None:
    wrong = int((~np.isfinite(vertices)).any(1).sum())
    if wrong:
        raise ValueError(
            f"{setting}: {path} has {wrong} corners whose coordinates are no numbers; delete those vertices (in Blender: "
            "Mesh, Clean Up), and export it again."
        )


def _from_linear(mesh: SurfaceMesh) -> SurfaceMesh:
    """glTF's colours, but not its textures, are linear; a plain white is one that nobody chose."""
    colors = tuple(
        CLAY if min(color) > 0.999 else tuple(_converted(np.asarray(color), linear_rgb_to_rgb).tolist())
        for color in mesh.colors
    )
    vertex_colors = None if mesh.vertex_colors is None else _converted(mesh.vertex_colors, linear_rgb_to_rgb)
    return replace(mesh, colors=colors, vertex_colors=vertex_colors)


def _part(mesh: o3d.geometry.TriangleMesh) -> SurfaceMesh:
    faces = np.asarray(mesh.triangles).astype(np.int64)
    uvs = np.asarray(mesh.triangle_uvs).reshape(-1, 3, 2) if mesh.has_triangle_uvs() else None
    colors = np.asarray(mesh.vertex_colors) if mesh.has_vertex_colors() else None
    return SurfaceMesh(np.asarray(mesh.vertices), faces, uvs, vertex_colors=colors)


def _joined(parts: list[SurfaceMesh], materials: list[int], records: list) -> SurfaceMesh:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    textures = tuple(_texture(record.albedo_img) for record in records)
    colors = tuple(_base_color(record) for record in records)
    with_uvs = any(part.corner_uvs is not None for part in parts)
    uvs = [np.zeros((len(part.faces), 3, 2)) if part.corner_uvs is None else part.corner_uvs for part in parts]
    with_colors = all(part.vertex_colors is not None for part in parts)
    return SurfaceMesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate(uvs) if with_uvs else None,
        textures,
        colors,
        np.concatenate([np.full(len(part.faces), index) for part, index in zip(parts, materials, strict=True)]),
        np.concatenate([part.vertex_colors for part in parts if part.vertex_colors is not None]) if with_colors else None,
    )


def _texture(image: o3d.geometry.Image | None) -> np.ndarray | None:
    if image is None or image.is_empty():
        return None
    values = np.asarray(image)
    values = values.astype(np.float32) / (np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1)
    values = values[..., None] if values.ndim == 2 else values
    return np.repeat(values, 3, 2) if values.shape[2] < 3 else values[..., :3]


def _base_color(record) -> tuple[float, float, float]:
    return tuple(round(float(value), 4) for value in record.base_color[:3])


def _clean(mesh: SurfaceMesh, path: Path, setting: str) -> SurfaceMesh:
    used = mesh.vertices[mesh.faces.ravel()]
    _check_numbers(used, path, setting)
    size, offset = np.ptp(used, axis=0).max(), np.abs((used.max(0) + used.min(0)) / 2).max()
    if offset > MOST_OFFSET * size:
        raise ValueError(
            f"{setting}: {path} is {size:.3g} large and lies {offset:.3g} from 0, where 32-bit coordinates have no shape "
            "left; move it to the origin and export it again."
        )
    positions, faces = _merged(mesh.vertices, mesh.faces)
    corners = positions[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    keep = area > 1e-14 * max(size, 1e-30) ** 2
    if not keep.any():
        raise ValueError(f"{setting}: all {len(keep)} triangles of {path} have no area; export the object with its faces.")
    colors = None
    if mesh.vertex_colors is not None:
        colors = np.zeros_like(positions)
        colors[faces.ravel()] = mesh.vertex_colors[mesh.faces.ravel()]
    return SurfaceMesh(
        positions,
        faces[keep],
        None if mesh.corner_uvs is None else mesh.corner_uvs[keep],
        mesh.textures,
        mesh.colors,
        None if mesh.materials is None else mesh.materials[keep],
        colors,
    )


def _merged(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "merged 3"], Int[np.ndarray, "faces 3"]]:
    """Vertices of one place become one, in the order in which they are first used: readers part them at every seam."""
    _, first, where = np.unique(vertices[faces.ravel()], axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return vertices[faces.ravel()[first[order]]], rank[where.ravel()].reshape(faces.shape)


# ---- writing


def write_ply(path: Path, mesh: SurfaceMesh) -> None:
    """Vertices with colours of 8 bits, binary."""
    replace_file(path, lambda aside: _must(o3d.io.write_triangle_mesh(str(aside), mesh.open3d()), path))


def write_glb(path: Path, mesh: SurfaceMesh) -> None:
    """Vertices with colours, which glTF wants linear and not as sRGB."""
    linear = (_converted(_vertex_colors(mesh), rgb_to_linear_rgb) * 255).round().astype(np.uint8)
    material = trimesh.visual.material.PBRMaterial(metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=linear, process=False)
    shape.visual.material = material
    replace_file(path, lambda aside: aside.write_bytes(trimesh.Scene(shape).export(file_type="glb")))


def write_obj(path: Path, mesh: SurfaceMesh) -> None:
    """NAME.obj, NAME.mtl and NAME.png: one texture, without light of its own."""
    assert mesh.corner_uvs is not None and mesh.textures and mesh.textures[0] is not None
    picture, library = path.with_suffix(".png"), path.with_suffix(".mtl")
    pixels = (mesh.textures[0].clip(0, 1) * 255).round().astype(np.uint8)
    replace_file(picture, lambda aside: imageio.imwrite(aside, pixels))
    material = f"newmtl painted\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n"
    replace_file(library, lambda aside: aside.write_text(material))
    uvs, where = np.unique(mesh.corner_uvs.reshape(-1, 2), axis=0, return_inverse=True)
    corners = np.stack([mesh.faces, where.reshape(-1, 3)], axis=-1) + 1
    lines = [f"mtllib {library.name}", "usemtl painted"]
    lines += ["v {:.9g} {:.9g} {:.9g}".format(*vertex) for vertex in mesh.vertices.tolist()]
    lines += ["vt {:.9g} {:.9g}".format(*uv) for uv in uvs.tolist()]
    lines += ["f {}/{} {}/{} {}/{}".format(*face) for face in corners.reshape(-1, 6).tolist()]
    replace_file(path, lambda aside: aside.write_text("\n".join([*lines, ""])))


def _vertex_colors(mesh: SurfaceMesh) -> Float[np.ndarray, "vertices 3"]:
    assert mesh.vertex_colors is not None
    return mesh.vertex_colors


def _converted(values: np.ndarray, convert: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """By a function of kornia's, which takes pictures."""
    return convert(torch.from_numpy(values).reshape(-1, 3).T[..., None])[..., 0].T.reshape(values.shape).numpy()


def _must(written: bool, path: Path) -> None:
    if not written:
        raise ValueError(f"output: {path} could not be written; is there room, and may it be written to?")
