import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ins3d.meshes.files import read_mesh
from ins3d.meshes.triangles import CLAY, SurfaceMesh

SHAPE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
QUAD = "f 1/1 2/2 3/3 4/4\n"
GREEN = (0, 140, 0)


def write(folder: Path, obj: str, name: str = "a.obj", **files: str) -> Path:
    """An OBJ with the shape; `mtl` are materials, in a.mtl."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        (folder / f"{stem}.mtl").write_text(text)
    (folder / name).write_text(obj)
    return folder / name


def paint(path: Path, color: tuple[int, int, int] = GREEN) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), color).save(path)


def seen(mesh: SurfaceMesh, face: int = 0) -> list[int]:
    """The colour in the middle of a triangle, in 0 to 255."""
    return (mesh.colors_at(np.array([face]), np.full((1, 3), 1 / 3))[0] * 255).round().astype(int).tolist()


def read(path: Path) -> SurfaceMesh:
    return read_mesh(path, "mesh")


class TestNames:
    @pytest.mark.parametrize(
        ("told", "note"),
        [
            ("paint.png", False), ("C:\\Users\\me\\scan\\paint.png", False), ("/home/me/paint.png", False),
            ("textures\\paint.png", False), ("-s 1 1 1 .\\paint.png", False), ("PAINT.PNG", True),
        ],
    )  # fmt: skip
    def test_a_texture_is_found_beside_its_library(self, tmp_path: Path, told: str, note: bool):
        paint(tmp_path / "paint.png")
        mesh = read(write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl m\n{QUAD}", a=f"newmtl m\nmap_Kd {told}\n"))
        assert seen(mesh) == list(GREEN)
        assert mesh.notes == (("PAINT.PNG is taken to be paint.png.",) if note else ())

    @pytest.mark.parametrize("told", ["A.MTL", "a.mtl b.mtl", "b.mtl a.mtl"])
    def test_libraries_in_other_letters_and_several_in_a_line(self, tmp_path: Path, told: str):
        path = write(tmp_path, f"mtllib {told}\n{SHAPE}usemtl m\n{QUAD}", a="newmtl m\nKd 1 0 0\n", b="newmtl n\nKd 0 0 1\n")
        assert seen(read(path)) == [255, 0, 0]

    def test_a_library_whose_name_has_blanks(self, tmp_path: Path):
        (tmp_path / "my scan 3.mtl").write_text("newmtl m\nKd 1 0 0\n")
        assert seen(read(write(tmp_path, f"mtllib my scan 3.mtl\n{SHAPE}usemtl m\n{QUAD}"))) == [255, 0, 0]

    def test_one_of_several_that_is_missing(self, tmp_path: Path):
        path = write(tmp_path, f"mtllib a.mtl c.mtl\n{SHAPE}{QUAD}", a="")
        text = f"mesh: {path} needs c.mtl, which is not beside it; put it there, or delete the line mtllib."
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(text)}$"):
            read(path)

    def test_keywords_in_small_letters(self, tmp_path: Path):
        paint(tmp_path / "paint.png")
        path = write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl m\n{QUAD}", a="newmtl m\nkd 1 1 1\nmap_kd paint.png\n")
        assert seen(read(path)) == list(GREEN)

    def test_a_texture_that_is_told_for_ambient_light_only(self, tmp_path: Path):
        paint(tmp_path / "paint.png")
        mesh = read(write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl m\n{QUAD}", a="newmtl m\nmap_Ka paint.png\n"))
        assert seen(mesh) == list(GREEN)
        assert mesh.notes == ("a.mtl tells a texture as map_Ka only (paint.png): it is taken for the colour.",)


class TestTiles:
    def test_udim_takes_the_picture_of_each_square(self, tmp_path: Path):
        paint(tmp_path / "skin.1001.png", (200, 0, 0))
        paint(tmp_path / "skin.1012.png", (0, 0, 200))
        shape = SHAPE + "vt 1.2 1.2\nvt 1.8 1.2\nvt 1.8 1.8\n"
        path = write(tmp_path, f"mtllib a.mtl\n{shape}usemtl m\nf 1/1 2/2 3/3\nf 1/5 2/6 4/7\n",
                     a="newmtl m\nmap_Kd skin.<UDIM>.png\n")  # fmt: skip
        mesh = read(path)
        assert seen(mesh, 0) == [200, 0, 0] and seen(mesh, 1) == [0, 0, 200]
        assert mesh.notes == ("skin.<UDIM>.png are 2 pictures (UDIM).",)

    def test_of_which_there_are_none(self, tmp_path: Path):
        path = write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl m\n{QUAD}", a="newmtl m\nmap_Kd skin.<UDIM>.png\n")
        with pytest.raises(
            FileNotFoundError, match=r"^mesh: no picture skin\.<UDIM>\.png \(UDIM: 1001, 1002, \.\.\.\) lies"
        ):
            read(path)


class TestShapes:
    def test_a_polygon_that_is_not_convex_is_cut_within_it(self, tmp_path: Path):
        # An arrowhead: its area is 1, that of a fan from its first corner 3.
        path = write(tmp_path, "v 0 2 0\nv -1 0 0\nv 0 1 0\nv 1 0 0\nf 2 3 4 1\n")
        assert np.linalg.norm(read(path).normals, axis=1).sum() / 2 == pytest.approx(1)

    def test_colours_behind_coordinates(self, tmp_path: Path):
        path = write(tmp_path, "v 0 0 0 1 0 0\nv 1 0 0 1 0 0\nv 0 1 0 1 0 0\nf 1 2 3\n")
        assert seen(read(path)) == [255, 0, 0]

    def test_negative_numbers_count_from_where_they_stand(self, tmp_path: Path):
        path = write(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 5 5 5\nv 6 5 5\nv 5 6 5\nf -3 -2 -1\n")
        assert read(path).vertices.max(0).tolist() == [6, 6, 5]

    def test_faces_without_places_in_their_texture_show_its_corner(self, tmp_path: Path):
        paint(tmp_path / "paint.png")
        mesh = read(write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl m\n{QUAD}f 1 2 4\n", a="newmtl m\nmap_Kd paint.png\n"))
        assert seen(mesh, 2) == list(GREEN)

    def test_without_materials_it_is_clay(self, tmp_path: Path):
        assert not read(write(tmp_path, SHAPE + QUAD)).has_color and read(tmp_path / "a.obj").colors == (CLAY,)

    def test_a_file_of_windows(self, tmp_path: Path):
        path = write(tmp_path, "")
        path.write_bytes(b"\xef\xbb\xbf" + (SHAPE + QUAD).replace("\n", "\r\n").encode())
        assert len(read(path).faces) == 2


class TestOddFiles:
    """As programs write them that nobody tests against."""

    @pytest.mark.parametrize(
        "mtl",
        ["newmtl\tm\n\tKd\t0 1 0\n", "newmtl M\nKd 0 1 0\n", "newmtl m\nKd 0 255 0\n", "newmtl m\nKd 0 1 0\nmap_Kd \n"],
        ids=["tabs", "capitals", "255", "no_picture"],
    )
    def test_a_colour(self, tmp_path: Path, mtl: str):
        mesh = read(write(tmp_path, 'mtllib\t"a.mtl"\n' + SHAPE.replace(" ", "\t") + "usemtl\tm\n" + QUAD, a=mtl))
        assert seen(mesh) == [0, 255, 0] and not mesh.notes

    def test_letters_of_old_windows(self, tmp_path: Path):
        (tmp_path / "Größe.mtl").write_bytes("newmtl grün\nKd 0 1 0\n".encode("latin-1"))
        (tmp_path / "a.obj").write_bytes(("mtllib Größe.mtl\n" + SHAPE + "usemtl grün\n" + QUAD).encode("latin-1"))
        assert seen(read(tmp_path / "a.obj")) == [0, 255, 0]

    def test_a_texture_without_places_or_a_material_without_words_is_told(self, tmp_path: Path):
        paint(tmp_path / "t.png")
        told = 'newmtl m\nmap_Kd "t.png"\n'
        assert "without places" in read(write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl m\nf 1 2 3\n", a=told)).notes[0]
        assert "of material n," in read(write(tmp_path, f"mtllib a.mtl\n{SHAPE}usemtl n\n{QUAD}", a=told)).notes[0]
