import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import open3d as o3d
import pytest
import trimesh
from PIL import Image

from ins3d.meshes.files import read_mesh, write_glb, write_obj, write_ply
from ins3d.meshes.triangles import CLAY, MeshPlacement, SurfaceMesh

SQUARE = """v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"""
QUAD = "f 1/1 2/2 3/3 4/4\n"
TEXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 3), dtype=np.uint8)


def read(path: Path) -> SurfaceMesh:
    return read_mesh(path, "mesh")


def box(**given) -> SurfaceMesh:
    shape = trimesh.creation.box(extents=(1, 2, 3))
    return SurfaceMesh(np.asarray(shape.vertices), np.asarray(shape.faces).astype(np.int64), **given)


def corners(mesh: SurfaceMesh) -> np.ndarray:
    return mesh.vertices[mesh.faces]


def stored(path: Path) -> trimesh.Trimesh:
    """What a GLB holds, as another reader sees it."""
    (shape,) = trimesh.load(path, process=False).geometry.values()
    return shape


@pytest.fixture
def colored() -> SurfaceMesh:
    return box(vertex_colors=np.random.default_rng(1).random((8, 3)))


@pytest.fixture
def textured() -> SurfaceMesh:
    random = np.random.default_rng(2)
    return box(corner_uvs=random.random((12, 3, 2)), textures=(random.random((6, 5, 3)),))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def put(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return put


@pytest.fixture
def textured_square(write, tmp_path: Path) -> Path:
    imageio.imwrite(tmp_path / "paint.png", TEXELS)
    write("paint.mtl", "newmtl painted\nKd 0.2 0.4 0.6\nmap_Kd paint.png\n")
    return write("square.obj", f"mtllib paint.mtl\n{SQUARE}usemtl painted\n{QUAD}")


class TestReadMesh:
    def test_triangulates_a_square(self, write):
        mesh = read(write("a.obj", SQUARE + "f 1 2 3 4\n"))
        assert mesh.faces.shape == (2, 3) and mesh.normals.tolist() == [[0, 0, 1], [0, 0, 1]]
        assert sorted(mesh.vertices.tolist()) == [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]]
        assert not mesh.has_color and mesh.colors == (CLAY,)

    def test_reads_each_texel_where_the_picture_shows_it(self, textured_square: Path):
        mesh = read(textured_square)
        for row in range(2):
            for column in range(4):
                # v grows upwards, so row 0 is the upper half of the square; uvs are its x and y.
                x, y = (column + 0.5) / 4, 1 - (row + 0.5) / 2
                # In the triangle (0, 0), (1, 0), (1, 1): 1 - x, x - y, y. In the other: 1 - y, x, y - x.
                face, weights = (0, [1 - x, x - y, y]) if x >= y else (1, [1 - y, x, y - x])
                found = mesh.colors_at(np.array([face]), np.array([weights]))[0]
                assert found == pytest.approx(TEXELS[row, column] / 255, abs=1e-5)

    def test_reads_the_texture_of_a_glb_the_same_way_up(self, tmp_path: Path):
        places = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        paint = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(TEXELS))
        look = trimesh.visual.TextureVisuals(places, material=paint)
        shape = trimesh.Trimesh(np.pad(places, ((0, 0), (0, 1))), [[0, 1, 2], [0, 2, 3]], process=False, visual=look)
        shape.export(tmp_path / "a.glb")
        mesh = read(tmp_path / "a.glb")
        assert mesh.corner_uvs == pytest.approx(corners(mesh)[..., :2])
        assert mesh.textures[0] == pytest.approx(TEXELS / 255, abs=1e-6)

    @pytest.mark.parametrize(("shape", "dtype"), [((2, 2), np.uint8), ((2, 2), np.uint16), ((2, 2, 4), np.uint8)])
    def test_reads_grey_deep_and_transparent_pictures(self, textured_square: Path, shape: tuple[int, ...], dtype):
        most = np.iinfo(dtype).max
        texels = np.random.default_rng(3).integers(0, most, shape, dtype=dtype, endpoint=True)
        imageio.imwrite(textured_square.with_name("paint.png"), texels)
        rgb = texels[..., :3] if len(shape) == 3 else np.repeat(texels[..., None], 3, 2)
        assert read(textured_square).textures[0] == pytest.approx(rgb / most, abs=1e-6)

    def test_gives_each_triangle_its_materials_colour(self, write):
        write("two.mtl", "newmtl a\nKd 0.2 0.4 0.6\nnewmtl b\nKd 0.1 0.9 0.3\n")
        mesh = read(write("a.obj", f"mtllib two.mtl\n{SQUARE}usemtl b\nf 1 2 3\nusemtl a\nf 1 3 4\n"))
        found = mesh.colors_at(np.array([0, 1]), np.full((2, 3), 1 / 3))
        # By where a triangle lies: the lower one has the corner (1, 0), and is b's.
        lower = [[1, 0, 0] in triangle for triangle in corners(mesh).tolist()]
        assert sorted(lower) == [False, True] and mesh.has_color
        assert found[lower.index(True)] == pytest.approx([0.1, 0.9, 0.3], abs=1e-4)
        assert found[lower.index(False)] == pytest.approx([0.2, 0.4, 0.6], abs=1e-4)

    def test_reads_colours_at_vertices_of_a_ply(self, tmp_path: Path):
        eight = np.random.default_rng(4).integers(0, 256, (8, 4), dtype=np.uint8)
        shape = box()
        trimesh.Trimesh(shape.vertices, shape.faces, vertex_colors=eight, process=False).export(tmp_path / "a.ply")
        mesh = read(tmp_path / "a.ply")
        assert mesh.vertex_colors is not None and mesh.has_color
        assert mesh.vertex_colors[mesh.faces] == pytest.approx(eight[shape.faces][..., :3] / 255, abs=1e-6)
        assert corners(mesh).tolist() == corners(shape).tolist()

    def test_a_gltf_needs_its_files(self, tmp_path: Path):
        picture = Image.new("RGB", (16, 16), (200, 40, 20))
        look = trimesh.visual.TextureVisuals(
            np.zeros((3, 2)), material=trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
        )
        shape = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], visual=look, process=False)
        for name, contents in trimesh.Scene(shape).export(file_type="gltf").items():
            (tmp_path / name).write_bytes(contents)
        words = json.loads((tmp_path / "model.gltf").read_text())
        words["images"] = [{"uri": "paint.png"}]
        (tmp_path / "a.gltf").write_text(json.dumps(words))
        with pytest.raises(FileNotFoundError) as caught:
            read(tmp_path / "a.gltf")
        assert str(caught.value) == (
            f"mesh: {tmp_path / 'a.gltf'} needs paint.png, which is not beside it; put it there, or use .glb."
        )
        picture.save(tmp_path / "paint.png")
        assert read(tmp_path / "a.gltf").textures[0].reshape(-1, 3)[0] == pytest.approx([200 / 255, 40 / 255, 20 / 255])
        (tmp_path / "a.gltf").write_text(json.dumps(words | {"images": [{"uri": "my%20paint.png"}]}))
        with pytest.raises(FileNotFoundError, match="needs my paint.png, which is not beside it"):
            read(tmp_path / "a.gltf")
        (tmp_path / "paint.png").rename(tmp_path / "My Paint.png")
        assert read(tmp_path / "a.gltf").textures[0] is not None
        (tmp_path / "b.gltf").write_text("junk")
        with pytest.raises(ValueError, match="b.gltf is no glTF file that can be read; export it again, as .glb.$"):
            read(tmp_path / "b.gltf")

    def test_turns_the_linear_colours_of_a_glb_into_srgb(self, tmp_path: Path):
        # 0.2140 of the light is sRGB 0.5 (IEC 61966-2-1): 8 bits 55 for vertices, a number of its own for a material.
        shape = box()
        grey = np.full((8, 4), 55, np.uint8)
        trimesh.Trimesh(shape.vertices, shape.faces, vertex_colors=grey, process=False).export(tmp_path / "a.glb")
        assert read(tmp_path / "a.glb").vertex_colors == pytest.approx(np.full((8, 3), 0.5), abs=0.003)
        paint = trimesh.visual.material.PBRMaterial(baseColorFactor=[1.0, 55 / 255, 0.0, 1.0])
        look = trimesh.visual.TextureVisuals(material=paint)
        trimesh.Trimesh(shape.vertices, shape.faces, visual=look, process=False).export(tmp_path / "b.glb")
        assert read(tmp_path / "b.glb").colors[0] == pytest.approx([1, 0.5, 0], abs=0.003)

    def test_merges_the_corners_of_an_stl(self, tmp_path: Path):
        shape = box()
        trimesh.Trimesh(shape.vertices, shape.faces).export(tmp_path / "a.stl")  # three vertices for each triangle
        mesh = read(tmp_path / "a.stl")
        assert len(mesh.vertices) == 8 and corners(mesh).tolist() == corners(shape).tolist()

    def test_merges_vertices_at_seams_and_keeps_both_places_in_the_texture(self, write, tmp_path: Path):
        imageio.imwrite(tmp_path / "paint.png", TEXELS)
        write("paint.mtl", "newmtl painted\nmap_Kd paint.png\n")
        # The diagonal is a seam: its ends have other places in either triangle.
        places = "vt 0 0\nvt 0.5 0\nvt 0.5 0.5\nvt 0.6 0.6\nvt 1 1\nvt 0.6 1\n"
        faces = "f 1/1 2/2 3/3\nf 1/4 3/5 4/6\n"
        mesh = read(write("a.obj", f"mtllib paint.mtl\n{SQUARE.split('vt')[0]}{places}usemtl painted\n{faces}"))
        assert len(mesh.vertices) == 4 and len(set(mesh.faces[0]) & set(mesh.faces[1])) == 2
        expected = [[0, 0], [0.5, 0], [0.5, 0.5]], [[0.6, 0.6], [1, 1], [0.6, 1]]
        assert mesh.corner_uvs == pytest.approx(np.array(expected), abs=1e-6)

    def test_joins_the_parts_of_a_scene_where_they_stand(self, tmp_path: Path):
        scene, part = trimesh.Scene(), trimesh.creation.box()
        scene.add_geometry(part)
        scene.add_geometry(part, transform=trimesh.transformations.translation_matrix((5, 0, 0)))
        scene.export(tmp_path / "a.glb")
        mesh = read(tmp_path / "a.glb")
        assert len(mesh.faces) == 24
        assert mesh.vertices.min(0).tolist() == [-0.5] * 3 and mesh.vertices.max(0).tolist() == [5.5, 0.5, 0.5]

    def test_drops_triangles_without_an_area(self, write):
        # 1, 2 and 5 lie on a line; 1, 1, 2 has a corner twice; 5 is then needed no more, but may stay.
        mesh = read(write("a.obj", SQUARE + "v 2 0 0\nf 1 2 5\nf 1 2 3\nf 1 1 2\nf 1 3 4\n"))
        assert corners(mesh).tolist() == [[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]]

    def test_keeps_small_triangles_of_small_meshes(self, write):
        mesh = read(write("a.obj", "v 0 0 0\nv 1e-5 0 0\nv 0 1e-5 0\nv 0 0 1e-5\nf 1 3 2\nf 1 2 4\n"))
        assert len(mesh.faces) == 2

    def test_reads_a_real_mesh_with_seams(self, assets: Path):
        mesh = read(assets / "meshes" / "spot_textured" / "spot.obj")
        # As in the file; 3225 places in the texture part 2930 vertices. A closed surface: V - E + F = 2, E = 1.5 F.
        assert (len(mesh.vertices), len(mesh.faces)) == (2930, 5856) and 2930 - 1.5 * 5856 + 5856 == 2
        assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
        assert mesh.textures[0] is not None and mesh.textures[0].shape == (1024, 1024, 3)
        assert len(read(assets / "meshes" / "suzanne.obj").faces) == 32 + 2 * 468  # triangles and squares of the file


class TestReadMeshRefuses:
    def refused(self, error: type[Exception], path: Path, message: str) -> None:
        with pytest.raises(error, match=f"^{re.escape(message.format(path=path, folder=path.parent))}$"):
            read(path)

    def test_a_file_that_is_missing(self, tmp_path: Path):
        expected = "mesh: {path} does not exist; give a mesh (.obj, .ply, .stl, .glb, .gltf)."
        self.refused(FileNotFoundError, tmp_path / "a.obj", expected)

    def test_a_folder(self, tmp_path: Path):
        (tmp_path / "a.obj").mkdir()
        expected = "mesh: {path} is a folder; give a mesh (.obj, .ply, .stl, .glb, .gltf)."
        self.refused(FileNotFoundError, tmp_path / "a.obj", expected)

    def test_another_kind_of_file(self, write):
        expected = "mesh: .fbx is no mesh that is read; save it as .obj, .ply, .stl, .glb, .gltf."
        self.refused(ValueError, write("a.fbx", ""), expected)

    def test_a_library_of_materials_that_is_missing(self, textured_square: Path):
        textured_square.with_name("paint.mtl").unlink()
        expected = "mesh: {path} needs paint.mtl, which is not beside it; put it there, or delete the line mtllib."
        self.refused(FileNotFoundError, textured_square, expected)

    def test_a_texture_that_is_missing(self, textured_square: Path):
        textured_square.with_name("paint.png").unlink()
        expected = (
            "mesh: the texture paint.png of {folder}/paint.mtl is missing; put it beside it (folders and capitals in its "
            "name do not matter)."
        )
        self.refused(FileNotFoundError, textured_square, expected)

    @pytest.mark.parametrize(("name", "text"), [("a.obj", ""), ("a.obj", SQUARE), ("a.ply", ""), ("a.glb", "junk")])
    def test_a_file_without_triangles(self, write, name: str, text: str):
        expected = "mesh: {path} holds no triangles that can be read; export it as a mesh, with its faces."
        self.refused(ValueError, write(name, text), expected)

    def test_coordinates_that_are_no_numbers(self, write):
        expected = (
            "mesh: {path} has 1 corners whose coordinates are no numbers; "
            "delete those vertices (in Blender: Mesh, Clean Up), and export it again."
        )
        self.refused(ValueError, write("a.obj", "v 0 0 0\nv 2 0 1\nv 3 inf 1\nv 0 1 4\nf 1 2 3\nf 1 2 4\n"), expected)

    @pytest.mark.parametrize("line", ["v a b c", "v 1 2", "v 1 2 # 3", "v 1 -nan(ind) 2"])
    def test_words_that_are_no_numbers(self, write, line: str):
        path = write("a.obj", f"v 0 0 0\n{line}\nv 0 0 1\nv 1 1 1\nf 1 3 4\n")
        with pytest.raises(ValueError, match="has 1 corners whose coordinates are no numbers"):
            read(path)

    def test_a_glb_with_places_that_are_no_numbers(self, tmp_path: Path):
        shape = box()
        shape.vertices[2] = np.nan
        trimesh.Trimesh(shape.vertices, shape.faces, process=False).export(tmp_path / "a.glb")
        with pytest.raises(ValueError, match="a.glb has 1 corners whose coordinates are no numbers"):
            read(tmp_path / "a.glb")

    @pytest.mark.parametrize("wrong", [9, 0, -5])
    def test_faces_with_vertices_that_there_are_not(self, write, wrong: int):
        text = f"v 0 0 0\nv 1 0 0\nv 0 0 1\nv 1 1 1\nf 1 -2/7 3//12 # 44\nf 1 2 {wrong}/1\n"
        expected = f"mesh: {{path}} has a face with vertex {wrong}, but 4 vertices; export it again."
        self.refused(ValueError, write("a.obj", text), expected)

    @pytest.mark.parametrize("place", ["1 1 1", "0 0 0"])
    def test_a_mesh_that_is_a_point(self, write, place: str):
        expected = "mesh: all 1 triangles of {path} have no area; export the object with its faces."
        self.refused(ValueError, write("point.obj", f"v {place}\n" * 3 + "f 1 2 3\n"), expected)

    def test_triangles_that_all_have_no_area(self, write):
        expected = "mesh: all 2 triangles of {path} have no area; export the object with its faces."
        self.refused(ValueError, write("a.obj", SQUARE + "v 2 0 0\nf 1 2 5\nf 1 1 2\n"), expected)

    def test_a_mesh_too_far_from_0_for_the_numbers_of_its_file(self, tmp_path: Path):
        # 1 large, a million away: 32-bit numbers there are 0.06 apart.
        shape = box()
        trimesh.Trimesh(shape.vertices + [1e6, 0, 0], shape.faces, process=False).export(tmp_path / "a.stl")
        expected = (
            "mesh: {path} is 3 large and lies 1e+06 from 0, where the 32-bit coordinates of this file have no shape left; "
            "move it to the origin and export it again, or export it as OBJ."
        )
        self.refused(ValueError, tmp_path / "a.stl", expected)


class TestFarFromZero:
    """Coordinates of maps: hundreds of kilometres."""

    PLACE = np.array([448262.5, 5411932.7, 312.0])

    def test_an_obj_keeps_its_shape(self, textured: SurfaceMesh, tmp_path: Path):
        write_obj(tmp_path / "a.obj", replace(textured, vertices=textured.vertices + self.PLACE))
        found = read(tmp_path / "a.obj")
        assert np.abs(found.vertices - self.PLACE - textured.vertices).max() < 1e-8
        assert found.faces.tolist() == textured.faces.tolist()

    def test_a_ply_of_doubles_too(self, colored: SurfaceMesh, tmp_path: Path):
        write_ply(tmp_path / "a.ply", replace(colored, vertices=colored.vertices + self.PLACE))
        assert np.abs(read(tmp_path / "a.ply").vertices - self.PLACE - colored.vertices).max() < 1e-8

    def test_a_glb_that_we_write(self, colored: SurfaceMesh, tmp_path: Path):
        write_glb(tmp_path / "a.glb", replace(colored, vertices=colored.vertices + self.PLACE))
        assert np.abs(corners(read(tmp_path / "a.glb")) - self.PLACE - corners(colored)).max() < 1e-6

    def test_a_glb_whose_node_stands_there(self, tmp_path: Path):
        scene = trimesh.Scene()
        scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix(self.PLACE))
        scene.export(tmp_path / "a.glb")
        assert np.ptp(read(tmp_path / "a.glb").vertices, axis=0) == pytest.approx(np.ones(3), abs=1e-8)

    def test_a_small_one_is_placed_and_put_back(self, textured: SurfaceMesh, tmp_path: Path):
        vertices = textured.vertices + self.PLACE
        placement = MeshPlacement.of(vertices)
        assert (
            np.abs(placement.outward(placement.inward(replace(textured, vertices=vertices)).vertices) - vertices).max()
            < 3e-6
        )


class TestWriteObj:
    def test_is_read_back_as_it_was(self, textured: SurfaceMesh, tmp_path: Path):
        write_obj(tmp_path / "new" / "a.obj", textured)
        again = read(tmp_path / "new" / "a.obj")
        assert corners(again) == pytest.approx(corners(textured), abs=1e-6)
        assert again.corner_uvs == pytest.approx(textured.corner_uvs, abs=1e-6)
        assert np.abs(again.textures[0] - textured.textures[0]).max() <= 0.501 / 255  # half a step of 8 bits
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.mtl", "a.obj", "a.png"]

    def test_is_read_alike_by_another_reader(self, textured: SurfaceMesh, tmp_path: Path):
        write_obj(tmp_path / "a.obj", textured)
        other = trimesh.load(tmp_path / "a.obj", process=False)
        assert np.asarray(other.vertices[other.faces]) == pytest.approx(corners(textured), abs=1e-6)
        assert other.visual.uv[other.faces] == pytest.approx(textured.corner_uvs, abs=1e-6)
        expected = (textured.textures[0] * 255).round()
        assert np.asarray(other.visual.material.image)[..., :3] == pytest.approx(expected)

    def test_leaves_what_was_there_when_the_picture_fails(self, textured, tmp_path, monkeypatch: pytest.MonkeyPatch):
        write_obj(tmp_path / "a.obj", textured)
        before = {name: (tmp_path / name).read_bytes() for name in ("a.obj", "a.mtl", "a.png")}

        def fail(path: Path, pixels: np.ndarray) -> None:
            path.write_text("half")
            raise OSError("no room")

        monkeypatch.setattr("ins3d.meshes.files.imageio.imwrite", fail)
        with pytest.raises(OSError, match="no room"):
            write_obj(tmp_path / "a.obj", replace(textured, vertices=2 * textured.vertices))
        assert {name: (tmp_path / name).read_bytes() for name in before} == before


class TestWritePly:
    def test_is_read_back_as_it_was(self, colored: SurfaceMesh, tmp_path: Path):
        write_ply(tmp_path / "a.ply", colored)
        again = read(tmp_path / "a.ply")
        assert corners(again) == pytest.approx(corners(colored))
        assert np.abs(again.vertex_colors[again.faces] - colored.vertex_colors[colored.faces]).max() <= 0.501 / 255

    def test_says_when_it_could_not_be_written(self, colored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = tmp_path / "a.ply"
        path.write_text("old")

        def fail(name: str, shape: o3d.geometry.TriangleMesh) -> bool:
            Path(name).write_text("half")
            return False

        monkeypatch.setattr("ins3d.meshes.files.o3d.io.write_triangle_mesh", fail)
        expected = f"output: {path} could not be written; is there room, and may it be written to?"
        with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
            write_ply(path, colored)
        assert path.read_text() == "old"


class TestWriteGlb:
    def test_holds_linear_colours(self, colored: SurfaceMesh, tmp_path: Path):
        # sRGB 0.5 is 0.2140 in linear light, 8 bits: 55; 0.02 lies on the straight piece: 0.02 / 12.92, 8 bits: 0; 1 is 1.
        known = np.tile([[0.5, 0.02, 1.0]], (8, 1))
        write_glb(tmp_path / "a.glb", replace(colored, vertex_colors=known))
        assert stored(tmp_path / "a.glb").visual.vertex_attributes["color"][0, :3].tolist() == [55, 0, 255]

    def test_is_read_alike_by_another_reader(self, colored: SurfaceMesh, tmp_path: Path):
        write_glb(tmp_path / "a.glb", colored)
        shape = stored(tmp_path / "a.glb")
        assert np.asarray(shape.vertices[shape.faces]) == pytest.approx(corners(colored))
        linear = np.asarray(shape.visual.vertex_attributes["color"])[:, :3] / 255
        # IEC 61966-2-1 the other way round; 8 linear bits are coarse only where it is dark.
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        bright = colored.vertex_colors > 0.2
        assert bright.sum() > 12 and np.abs(srgb - colored.vertex_colors)[bright].max() < 0.01

    def test_is_read_back_as_it_was(self, colored: SurfaceMesh, tmp_path: Path):
        write_glb(tmp_path / "a.glb", colored)
        again = read(tmp_path / "a.glb")
        assert corners(again) == pytest.approx(corners(colored))
        found, expected = again.vertex_colors[again.faces], colored.vertex_colors[colored.faces]
        assert np.abs(found - expected)[expected > 0.2].max() < 0.01

    def test_leaves_what_was_there_when_it_fails(self, colored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "a.glb").write_text("old")
        monkeypatch.setattr("ins3d.meshes.files.trimesh.Scene.export", lambda *given, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_glb(tmp_path / "a.glb", colored)
        assert (tmp_path / "a.glb").read_text() == "old"


class TestWhatReadersLose:
    @pytest.mark.parametrize("suffix", ["stl", "ply", "glb"])
    def test_without_colours_is_clay(self, tmp_path, suffix):
        trimesh.creation.box().export(tmp_path / f"a.{suffix}")
        mesh = read(tmp_path / f"a.{suffix}")
        assert mesh.colors == (CLAY,) and not mesh.has_color

    @pytest.mark.parametrize("grey", [0.4, 0.6])
    def test_keeps_a_grey_that_is_said(self, write, grey):
        write("a.mtl", f"newmtl a\nKd {grey} {grey} {grey}\n")
        assert read(write("a.obj", f"mtllib a.mtl\n{SQUARE}usemtl a\n{QUAD}")).colors[0] == pytest.approx(
            [grey] * 3, abs=1e-4
        )

    def test_finds_a_texture_behind_options_of_several_numbers(self, textured_square):
        textured_square.with_name("paint.mtl").write_text("newmtl painted\nmap_Kd -s 1 1 1 paint.png\n")
        assert read(textured_square).textures[0] is not None

    def test_refuses_a_texture_that_cannot_be_read(self, textured_square):
        textured_square.with_name("paint.png").write_text("no picture")
        with pytest.raises(ValueError, match="paint.png"):
            read(textured_square)

    def test_refuses_one_vertex_that_is_no_number(self, write):
        with pytest.raises(ValueError, match="are no numbers"):
            read(write("a.obj", SQUARE + "v 5 nan 0\nf 1 2 3\nf 1 2 5\n"))

    def test_leaves_nothing_half_written(self, colored, tmp_path, monkeypatch):
        def fail(name, shape):
            Path(name).write_text("half")
            return False

        monkeypatch.setattr("ins3d.meshes.files.o3d.io.write_triangle_mesh", fail)
        with pytest.raises(ValueError):
            write_ply(tmp_path / "a.ply", colored)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("comment", ["# info", "#nan", "# 5", "#"])
    def test_reads_what_has_comments_behind_it(self, textured_square: Path, comment: str):
        plain = read(textured_square)
        text = textured_square.read_text()
        lines = [f"{line} {comment}" if line[0] in "vf" else line for line in text.splitlines()]
        textured_square.write_text("\n".join([*lines, ""]))
        mesh = read(textured_square)
        assert corners(mesh).tolist() == corners(plain).tolist() and mesh.corner_uvs.tolist() == plain.corner_uvs.tolist()
        assert mesh.textures[0].tolist() == plain.textures[0].tolist()

    def test_finds_textures_in_other_folders_of_what_has_comments(self, textured_square: Path):
        inner = textured_square.parent / "inner"
        inner.mkdir()
        text = textured_square.read_text().replace("mtllib ", "mtllib ../").replace("v 0 0 0", "v 0 0 0 # info")
        (inner / "a.obj").write_text(text)
        (textured_square.parent / "paint.mtl").write_text("newmtl painted\nmap_Kd inner/../paint.png\n")
        assert read(inner / "a.obj").faces.shape == (2, 3)

    def test_joins_lines_that_go_on(self, write):
        assert len(read(write("a.obj", "v 0 0 \\\n0\nv 1 0 0\nv 0 0 1\nf 1 2 3\n")).vertices) == 3


class TestOrderOfVertices:
    def lines(self, path: Path) -> np.ndarray:
        words = [line.split()[1:4] for line in path.read_text().splitlines() if line.startswith("v ")]
        return np.array(words).astype(float)

    def test_of_a_real_obj_is_the_files(self, assets: Path):
        path = assets / "meshes" / "spot_textured" / "spot.obj"
        mesh, lines = read(path), self.lines(path)
        assert len(mesh.vertices) == len(lines)
        assert mesh.vertices == pytest.approx(lines, rel=1e-6, abs=1e-7)
        words = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("f ")]
        assert mesh.faces.tolist() == [[int(word.split("/")[0]) - 1 for word in face] for face in words]

    def test_of_an_obj_is_the_files_and_leaves_out_what_no_face_uses(self, write):
        places = [[0.1, 0, 0], [7, 7, 7], [0.3, 1e-3, 0], [0.1, 0, 0], [1 / 3, 2 / 3, 0]]
        text = "".join("v {} {} {}\n".format(*place) for place in places)
        # The first used is the last of the file; the fourth is the first again.
        mesh = read(write("a.obj", text + "f 5 3 4\n"))
        assert mesh.vertices == pytest.approx(np.array([places[0], places[2], places[4]]), abs=1e-7)
        assert mesh.faces.tolist() == [[2, 1, 0]]

    def test_of_a_ply_is_the_files(self, colored: SurfaceMesh, tmp_path: Path):
        upside_down = replace(colored, faces=colored.faces[::-1].copy())
        write_ply(tmp_path / "a.ply", upside_down)
        mesh = read(tmp_path / "a.ply")
        assert mesh.vertices.tolist() == colored.vertices.tolist()
        assert np.abs(mesh.vertex_colors - colored.vertex_colors).max() <= 0.501 / 255

    def test_lasts_when_it_is_written_and_read(self, textured: SurfaceMesh, tmp_path: Path):
        shuffled = replace(textured, faces=textured.faces[::-1].copy())
        write_obj(tmp_path / "a.obj", shuffled)
        assert read(tmp_path / "a.obj").vertices.tolist() == textured.vertices.tolist()
