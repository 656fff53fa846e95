"""Reads OBJ, PLY, STL and glTF into `SurfaceMesh`, and writes OBJ, PLY and GLB."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from urllib.parse import unquote

import imageio.v3 as imageio
import numpy as np
import open3d as o3d
import trimesh
from jaxtyping import Float
from kornia.color import rgb_to_linear_rgb
from PIL import Image
from skimage.util import img_as_float32

from ins3d.files.whole import replace_file, written_whole
from ins3d.meshes.triangles import CLAY, SurfaceMesh, converted, from_linear, joined, merged

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf")
LINEAR = (".glb", ".gltf")
MAX_OFFSET = 20_000
"""Distance from 0, in sizes of the mesh, beyond which 32-bit coordinates have lost its shape."""
MAP_OPTIONS = r"(?:-\S+(?:\s+(?:[-+.\d]+|on|off))+\s+)*"
"""Before the name of a texture in an .mtl file."""


def read_mesh(path: Path, setting: str) -> SurfaceMesh:
    """Reads OBJ, PLY, STL or GLB, with texture or vertex colours.

    Polygons become triangles. Triangles without an area are left out, and so are vertices that no polygon uses. Vertices
    that coincide become one; of an OBJ, PLY or STL they keep the file's order. `setting` is the option that the path came
    from: errors name it. Raises FileNotFoundError or ValueError for what is no mesh that can be painted.
    """
    suffix = _check_kind(path, setting)
    own, text, files, says_colors = None, "", [], suffix in LINEAR
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        if suffix == ".obj":
            text = path.read_text("utf-8", "surrogateescape").replace("\\\n", " ")
            own = _places(text)
            _check_numbers(own, path, setting)
            files, says_colors = _check_materials(text, path, setting)
        elif suffix == ".gltf":
            _check_gltf(path, setting)
        elif suffix in (".ply", ".stl"):  # below, corners that are no numbers are lost
            own = np.asarray(o3d.io.read_triangle_mesh(str(path)).vertices)
            _check_numbers(own, path, setting)
        with _without_comments(text, path, files) as plain:
            model = o3d.io.read_triangle_model(str(plain))
    parts = [SurfaceMesh.of_open3d(part.mesh) for part in model.meshes]
    if not sum(len(part.faces) for part in parts):
        _check_contents(text, own, path, setting)
        raise ValueError(f"{setting}: {path} holds no triangles that can be read; export it as a mesh, with its faces.")
    textures = tuple(_texture(record.albedo_img) for record in model.materials)
    colors = tuple(_base_color(record) for record in model.materials)
    mesh = joined(parts, [part.material_idx for part in model.meshes], textures, colors)
    mesh = from_linear(mesh) if suffix in LINEAR else mesh
    if not says_colors:
        mesh = replace(mesh, colors=(CLAY,) * len(mesh.colors))
    return _clean(mesh, own, path, setting)


def _check_kind(path: Path, setting: str) -> str:
    """The suffix of a file that exists."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{setting}: {path} {what}; give a mesh ({', '.join(SUFFIXES)}).")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{setting}: {path.suffix or path} is no mesh that is read; save it as {', '.join(SUFFIXES)}.")
    return path.suffix.lower()


def _places(text: str) -> Float[np.ndarray, "lines 3"]:
    """What the lines `v` of an OBJ say; nan for words that are no numbers, or missing.

    >>> _places("v 1 2 3 # info\\nv a 5\\n").tolist()
    [[1.0, 2.0, 3.0], [nan, 5.0, nan]]
    """
    lines = re.findall(r"^[ \t]*v[ \t]([^#\n]*)", text, re.MULTILINE)
    return np.array([[_number(word) for word in [*line.split(), "", "", ""][:3]] for line in lines]).reshape(-1, 3)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _check_materials(text: str, path: Path, setting: str) -> tuple[list[Path], bool]:
    """The files that an OBJ needs, and whether they say colours. open3d goes on without files that are missing."""
    files, says_colors = [], False
    for name in re.findall(r"^\s*mtllib\s+(.+?)\s*$", text, re.MULTILINE):
        library = path.parent / name
        if not library.is_file():
            raise FileNotFoundError(
                f"{setting}: {path} needs {name}, which is not beside it; put it there, or delete the line mtllib."
            )
        materials = library.read_text(errors="replace")
        says_colors |= re.search(r"^\s*Kd\s", materials, re.MULTILINE) is not None
        names = re.findall(rf"^\s*map_Kd\s+{MAP_OPTIONS}(.+?)\s*$", materials, re.MULTILINE)
        textures = [library.parent / each.replace("\\", "/") for each in names]
        for texture in textures:
            _check_texture(texture, library, setting)
        files += [library, *textures]
    return files, says_colors


@contextmanager
def _without_comments(text: str, path: Path, files: list[Path]) -> Iterator[Path]:
    """An OBJ that open3d can read: it takes words of a comment behind numbers for more of them."""
    plain = re.sub(r"^([ \t]*(?:v[tn]?|f)[ \t][^#\n]*)#.*$", r"\1", text, flags=re.MULTILINE)
    if plain == text:
        yield path
        return
    names = [os.path.relpath(file, path.parent) for file in files]
    upwards = max((Path(name).parts.count("..") for name in names), default=0)
    with TemporaryDirectory() as folder:
        copy = Path(folder, *["down"] * upwards, path.name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(plain, "utf-8", "surrogateescape")
        for file, name in zip(files, names, strict=True):
            beside = Path(os.path.normpath(copy.parent / name))
            beside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, beside)
        yield copy


def _check_contents(text: str, own: np.ndarray | None, path: Path, setting: str) -> None:
    """Says why no triangles were found, where the file tells."""
    if path.suffix.lower() in LINEAR:
        places = np.zeros((0, 3))
        with suppress(Exception):  # what is no glTF at all fails in many ways
            shapes = trimesh.load(path, force="scene", process=False).geometry.values()
            places = np.concatenate([shape.vertices for shape in shapes])
        _check_numbers(places, path, setting)
    faces = re.findall(r"^[ \t]*f[ \t]([^#\n]*)", text, re.MULTILINE)
    numbers = [int(number) for line in faces for number in re.findall(r"(?<!\S)[-+]?\d+", line)]
    count = 0 if own is None else len(own)
    for number in numbers:
        if not 1 <= abs(number) <= count:
            raise ValueError(f"{setting}: {path} has a face with vertex {number}, but {count} vertices; export it again.")


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


def _texture(image: o3d.geometry.Image | None) -> np.ndarray | None:
    if image is None or image.is_empty():
        return None
    values = np.atleast_3d(img_as_float32(np.asarray(image)))
    return np.repeat(values, 3, 2) if values.shape[2] < 3 else values[..., :3]


def _base_color(record) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 4) for value in record.base_color[:3])
    return red, green, blue


def _clean(mesh: SurfaceMesh, own: np.ndarray | None, path: Path, setting: str) -> SurfaceMesh:
    used = mesh.vertices[mesh.faces.ravel()]
    _check_numbers(used, path, setting)
    # Far enough from 0 all corners coincide in 32 bits; the file's own numbers then still tell how large the mesh is.
    told = used if own is None or not len(own) or np.ptp(used, axis=0).any() else own
    size, offset = np.ptp(told, axis=0).max(), np.abs((told.max(0) + told.min(0)) / 2).max()
    if 0 < MAX_OFFSET * size < offset:
        raise ValueError(
            f"{setting}: {path} is {size:.3g} large and lies {offset:.3g} from 0, where 32-bit coordinates have no shape "
            "left; move it to the origin and export it again."
        )
    mesh = merged(mesh, own)
    keep = np.linalg.norm(mesh.normals, axis=1) > 1e-14 * max(size, 1e-30) ** 2
    if not keep.any():
        raise ValueError(f"{setting}: all {len(keep)} triangles of {path} have no area; export the object with its faces.")
    return mesh.chosen(keep)


def write_ply(path: Path, mesh: SurfaceMesh) -> None:
    """Vertices with colours of 8 bits, binary."""
    with written_whole(path) as aside:
        if not o3d.io.write_triangle_mesh(str(aside), mesh.open3d()):
            raise ValueError(f"output: {path} could not be written; is there room, and may it be written to?")


def write_glb(path: Path, mesh: SurfaceMesh) -> None:
    """Vertices with colours, which glTF wants linear and not as sRGB."""
    assert mesh.vertex_colors is not None
    linear = (converted(mesh.vertex_colors, rgb_to_linear_rgb) * 255).round().astype(np.uint8)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=linear, process=False)
    assert shape.visual is not None
    shape.visual.material = trimesh.visual.material.PBRMaterial(metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True)
    replace_file(path, lambda aside: aside.write_bytes(cast(bytes, trimesh.Scene(shape).export(file_type="glb"))))


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
