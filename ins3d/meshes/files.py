"""Reads OBJ, PLY, STL and glTF into `SurfaceMesh`, and writes OBJ, PLY and GLB."""

from pathlib import Path
from typing import cast

import imageio.v3 as imageio
import numpy as np
import open3d as o3d
import trimesh
from kornia.color import rgb_to_linear_rgb

from ins3d.files.whole import replace_file, written_whole
from ins3d.meshes.gltf import GltfReader
from ins3d.meshes.obj import ObjReader
from ins3d.meshes.ply import read_ply, read_stl
from ins3d.meshes.triangles import SurfaceMesh, converted, merged

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf")
MAX_OFFSET = 20_000
"""Distance from 0, in sizes of the mesh, beyond which 32-bit coordinates have lost its shape."""


def read_mesh(path: Path, setting: str) -> SurfaceMesh:
    """Reads OBJ, PLY, STL or glTF, with textures, colours of materials, vertices or faces.

    Polygons become triangles. Triangles without an area are left out, and so are vertices that no polygon uses. Vertices
    that coincide become one; of an OBJ, PLY or STL they keep the file's order. `setting` is the option that the path came
    from: errors name it. Raises FileNotFoundError or ValueError for what is no mesh that can be painted.
    """
    suffix, own = _check_kind(path, setting), None
    if suffix == ".obj":
        mesh, own = ObjReader(path, setting).read()
    elif suffix in (".ply", ".stl"):
        mesh, own = (read_ply if suffix == ".ply" else read_stl)(path, setting)
    else:
        mesh = GltfReader(path, setting).read()
    _check_numbers(mesh.vertices if own is None else own, path, setting)
    if not len(mesh.faces):
        raise ValueError(f"{setting}: {path} holds no triangles that can be read; export it as a mesh, with its faces.")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(
            f"{setting}: {path} has a triangle with vertex {mesh.faces.max()}, counted from 0, but {len(mesh.vertices)} "
            "vertices; export it again."
        )
    return _clean(mesh, own, path, setting)


def _check_kind(path: Path, setting: str) -> str:
    """The suffix of a file that exists."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{setting}: {path} {what}; give a mesh ({', '.join(SUFFIXES)}).")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{setting}: {path.suffix or path} is no mesh that is read; save it as {', '.join(SUFFIXES)}.")
    return path.suffix.lower()


def _check_numbers(vertices: np.ndarray, path: Path, setting: str) -> None:
    wrong = int((~np.isfinite(vertices)).any(1).sum())
    if wrong:
        raise ValueError(
            f"{setting}: {path} has {wrong} corners whose coordinates are no numbers; delete those vertices (in Blender: "
            "Mesh, Clean Up), and export it again."
        )


def _clean(mesh: SurfaceMesh, own: np.ndarray | None, path: Path, setting: str) -> SurfaceMesh:
    used = mesh.vertices[mesh.faces.ravel()]
    size, offset = np.ptp(used, axis=0).max(), np.abs((used.max(0) + used.min(0)) / 2).max()
    coarse = path.suffix.lower() in (".ply", ".stl") and bool((used.astype(np.float32) == used).all())
    if coarse and MAX_OFFSET * size < offset:
        raise ValueError(
            f"{setting}: {path} is {size:.3g} large and lies {offset:.3g} from 0, where the 32-bit coordinates of this file "
            "have no shape left; move it to the origin and export it again, or export it as OBJ."
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
    """Vertices with colours, which glTF wants linear and not as sRGB. Its coordinates have 32 bits: what lies far from 0
    stands there by its node."""
    assert mesh.vertex_colors is not None
    linear = (converted(mesh.vertex_colors, rgb_to_linear_rgb) * 255).round().astype(np.uint8)
    middle = (mesh.vertices.max(0) + mesh.vertices.min(0)) / 2
    place = middle if np.abs(middle).max() > 100 * mesh.diagonal else np.zeros(3)
    shape = trimesh.Trimesh(mesh.vertices - place, mesh.faces, vertex_colors=linear, process=False)
    assert shape.visual is not None
    shape.visual.material = trimesh.visual.material.PBRMaterial(metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True)
    scene = trimesh.Scene()
    scene.add_geometry(shape, transform=trimesh.transformations.translation_matrix(place))
    replace_file(path, lambda aside: aside.write_bytes(cast(bytes, scene.export(file_type="glb"))))


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
    # So many decimals that nothing is lost of a shape that lies far from 0.
    decimals = 9 - int(np.floor(np.log10(max(float(np.ptp(mesh.vertices, axis=0).max()), 1e-30))))
    lines += ["v {!r} {!r} {!r}".format(*vertex) for vertex in mesh.vertices.round(decimals).tolist()]
    lines += ["vt {:.9g} {:.9g}".format(*uv) for uv in uvs.tolist()]
    lines += ["f {}/{} {}/{} {}/{}".format(*face) for face in corners.reshape(-1, 6).tolist()]
    replace_file(path, lambda aside: aside.write_text("\n".join([*lines, ""])))
