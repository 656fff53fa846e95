import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ins3d.meshes.files import read_mesh
from ins3d.meshes.triangles import SurfaceMesh
from tests.meshes.test_obj import seen

VERTICES = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
LEFT, RIGHT = [0.1, 0.1, 0.2, 0.1, 0.2, 0.9], [0.8, 0.1, 0.9, 0.1, 0.9, 0.9]
"""Places of a triangle's corners: in the red half of the texture, and in the blue one."""


def write(path: Path, faces: list[str], comment: str = "", vertex: str = "", face: str = "", more: str = "") -> Path:
    head = ["ply", "format ascii 1.0", *([f"comment TextureFile {name}" for name in comment.split()])]
    head += ["element vertex 4", *(f"property float {axis}" for axis in "xyz"), *([vertex] if vertex else [])]
    head += ["element face 2", "property list uchar int vertex_indices", *([face] if face else []), "end_header"]
    lines = [" ".join(map(str, place)) + more for place in VERTICES]
    path.write_text("\n".join([*head, *lines, *faces, ""]))
    return path


def wedges(path: Path, comment: str = "paint.png", more: tuple[str, str] = ("", ""), face: str = "") -> Path:
    """Both triangles share two vertices, at which they have other places in the texture."""
    faces = [f"3 {corners} 6 {' '.join(map(str, uvs))}{number}"
             for corners, uvs, number in (("0 1 2", LEFT, more[0]), ("0 2 3", RIGHT, more[1]))]  # fmt: skip
    return write(path, faces, comment, face="property list uchar float texcoord" + face)


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4], pixels[:, 4:] = (200, 0, 0), (0, 0, 200)
    Image.fromarray(pixels).save(tmp_path / "paint.png")
    return tmp_path


def read(path: Path) -> SurfaceMesh:
    return read_mesh(path, "mesh")


class TestTexture:
    def test_places_of_each_face_are_kept_at_seams(self, halves: Path):
        mesh = read(wedges(halves / "a.ply"))
        assert mesh.vertices.tolist() == [list(map(float, place)) for place in VERTICES]
        assert seen(mesh, 0) == [200, 0, 0] and seen(mesh, 1) == [0, 0, 200]

    def test_it_is_found_whoever_named_it(self, halves: Path):
        assert seen(read(wedges(halves / "a.ply", "D:\\scan\\PAINT.png"))) == [200, 0, 0]

    def test_one_that_is_missing(self, tmp_path: Path):
        path = wedges(tmp_path / "a.ply")
        text = (
            f"mesh: the texture paint.png of {path} is missing; put it beside it (folders and capitals in its name do not "
            "matter)."
        )
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(text)}$"):
            read(path)

    def test_one_that_is_not_named(self, halves: Path):
        path = wedges(halves / "a.ply", "")
        mesh = read(path)
        assert not mesh.has_color and mesh.notes == (
            "a.ply has places in a texture and names none: it gets the colour of clay (a picture of its own name would be "
            "taken).",
        )
        (halves / "paint.png").rename(halves / "a.png")
        mesh = read(path)
        assert seen(mesh) == [200, 0, 0]
        assert mesh.notes == ("a.ply has places in a texture and names none: a.png is taken for it.",)

    def test_several(self, halves: Path):
        Image.new("RGB", (4, 4), (0, 140, 0)).save(halves / "green.png")
        path = wedges(halves / "a.ply", "paint.png green.png", (" 1", " 0"), "\nproperty int texnumber")
        mesh = read(path)
        assert seen(mesh, 0) == [0, 140, 0] and seen(mesh, 1) == [0, 0, 200]


@pytest.mark.parametrize(
    "names", [("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"), ("red", "green", "blue")]
)
def test_colours_of_vertices_by_any_name(tmp_path: Path, names: tuple[str, ...]):
    lines = "\n".join(f"property uchar {name}" for name in names)
    assert seen(read(write(tmp_path / "a.ply", ["3 0 1 2", "3 0 2 3"], vertex=lines, more=" 0 140 0"))) == [0, 140, 0]


def test_colours_of_faces(tmp_path: Path):
    face = "property uchar red\nproperty uchar green\nproperty uchar blue"
    mesh = read(write(tmp_path / "a.ply", ["3 0 1 2 200 0 0", "3 0 2 3 0 0 200"], face=face))
    assert mesh.has_color and seen(mesh, 0) == [200, 0, 0] and seen(mesh, 1) == [0, 0, 200]


def test_a_triangle_with_a_vertex_that_there_is_not(tmp_path: Path):
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    rest = "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n"
    (tmp_path / "a.ply").write_text(head + rest)
    with pytest.raises(ValueError, match="^mesh: .* has a triangle with vertex 9"):
        read_mesh(tmp_path / "a.ply", "mesh")
