import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ins3d.meshes.files import read_mesh
from ins3d.meshes.triangles import CLAY, SurfaceMesh
from tests.meshes.test_obj import seen

GREEN, LINEAR_GREEN = [0, 140, 0], ((140 / 255 + 0.055) / 1.055) ** 2.4
TYPES = {"f4": 5126, "u2": 5123, "u1": 5121}
UVS = np.array([[0.1, 0.1], [0.4, 0.1], [0.1, 0.4]], "f4")
"""All in the upper left quarter of a picture."""


def png(*rows: list[tuple[int, int, int]], kind: str = "PNG") -> str:
    """A picture whose quarters have these colours, as a data URI."""
    pixels = np.array(rows, np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    raw = io.BytesIO()
    Image.fromarray(pixels).save(raw, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(raw.getvalue()).decode()}"


FOUR = png([(200, 0, 0), (0, 140, 0)], [(0, 0, 200), (220, 220, 0)])


def write(
    path: Path, attributes: dict[str, np.ndarray], material: dict[str, Any] | None = None, images=(FOUR,), **top
) -> Path:
    """A .gltf of one triangle; arrays of integers other than positions are normalised."""
    arrays = {"POSITION": np.eye(3, dtype="f4"), **attributes}
    raw, views, accessors = b"", [], []
    for values in arrays.values():
        views.append({"buffer": 0, "byteOffset": len(raw), "byteLength": values.nbytes})
        kind = f"{values.dtype.kind}{values.dtype.itemsize}"
        accessors.append({"bufferView": len(views) - 1, "componentType": TYPES[kind], "count": len(values),
                          "type": f"VEC{values.shape[1]}", "normalized": kind[0] == "u"})  # fmt: skip
        raw += values.tobytes() + b"\0" * (-values.nbytes % 4)
    primitive = {"attributes": {name: number for number, name in enumerate(arrays)}, "material": 0}
    contents = {
        "asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": material or {}}], "accessors": accessors, "bufferViews": views,
        "buffers": [{"byteLength": len(raw), "uri": f"data:;base64,{base64.b64encode(raw).decode()}"}],
        "images": [{"uri": image} for image in images], "textures": [{"source": number} for number in range(len(images))],
    }  # fmt: skip
    path.write_text(json.dumps(contents | top))
    return path


def read(path: Path) -> SurfaceMesh:
    return read_mesh(path, "mesh")


class TestColours:
    """As the standard says: factor x texture x colour of the vertex, the first and the last linear, the texture sRGB."""

    def test_a_texture_counts_downwards(self, tmp_path: Path):
        path = write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, {"baseColorTexture": {"index": 0}})
        assert seen(read(path)) == [200, 0, 0]

    @pytest.mark.parametrize(
        ("moved", "expected"),
        [
            ({"offset": [0.5, 0.0]}, GREEN),
            ({"offset": [0.5, 0.0], "scale": [0.5, 0.5]}, GREEN),
            ({"scale": [1.0, 2.2]}, [200, 0, 0]),
            # A quarter turn takes (u, v) to (v, -u): above the picture, which repeats: its lower left quarter.
            ({"rotation": np.pi / 2}, [0, 0, 200]),
            ({"texCoord": 1}, GREEN),
        ],
    )
    def test_khr_texture_transform(self, tmp_path: Path, moved: dict[str, Any], expected: list[int]):
        told = {"index": 0, "extensions": {"KHR_texture_transform": moved}}
        other = {"TEXCOORD_0": UVS, "TEXCOORD_1": UVS + np.array([0.5, 0], "f4")}
        assert seen(read(write(tmp_path / "a.gltf", other, {"baseColorTexture": told}))) == expected

    def test_the_second_layout(self, tmp_path: Path):
        layouts = {"TEXCOORD_0": UVS, "TEXCOORD_1": UVS + np.array([0.5, 0], "f4")}
        path = write(tmp_path / "a.gltf", layouts, {"baseColorTexture": {"index": 0, "texCoord": 1}})
        assert seen(read(path)) == GREEN

    def test_factor_times_texture(self, tmp_path: Path):
        told = {"baseColorTexture": {"index": 0}, "baseColorFactor": [1.0, LINEAR_GREEN, 0.0, 1.0]}
        path = write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, told, [png([(255, 255, 255)])])
        assert seen(read(path)) == [255, 140, 0]

    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
    def test_texture_times_colours_of_vertices(self, tmp_path: Path, dtype: str):
        most = np.iinfo(dtype).max if dtype[0] == "u" else 1.0
        cyan = (np.tile([0, 1, 1, 1], (3, 1)) * most).astype(dtype)
        path = write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS, "COLOR_0": cyan}, {"baseColorTexture": {"index": 0}},
                     [png([(200, 140, 0)])])  # fmt: skip
        assert seen(read(path)) == GREEN

    def test_colours_of_vertices_alone_are_linear(self, tmp_path: Path):
        green = np.tile(np.array([0, LINEAR_GREEN, 0], "f4"), (3, 1))
        mesh = read(write(tmp_path / "a.gltf", {"COLOR_0": green}))
        assert mesh.vertex_colors is not None and seen(mesh) == GREEN

    def test_a_factor_alone(self, tmp_path: Path):
        assert seen(read(write(tmp_path / "a.gltf", {}, {"baseColorFactor": [0, LINEAR_GREEN, 0, 1]}))) == GREEN

    def test_a_material_of_specular_and_gloss(self, tmp_path: Path):
        old = {"extensions": {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [0, LINEAR_GREEN, 0, 1]}}}
        assert seen(read(write(tmp_path / "a.gltf", {}, materials=[old]))) == GREEN

    def test_a_plain_white_is_one_that_nobody_chose(self, tmp_path: Path):
        assert read(write(tmp_path / "a.gltf", {})).colors == (CLAY,)

    def test_parts_of_several_kinds(self, tmp_path: Path):
        green = np.tile(np.array([0, LINEAR_GREEN, 0], "f4"), (3, 1))
        path = write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS, "COLOR_0": green})
        contents = json.loads(path.read_text())
        kinds = (({"TEXCOORD_0": 1}, 0), ({"COLOR_0": 2}, 1), ({}, 2), ({}, 1))
        contents["meshes"] = [
            {"primitives": [{"attributes": {"POSITION": 0, **more}, "material": material} for more, material in kinds]}
        ]
        contents["materials"] = [
            {"pbrMetallicRoughness": told}
            for told in ({"baseColorTexture": {"index": 0}}, {}, {"baseColorFactor": [0, 0, LINEAR_GREEN, 1]})
        ]
        path.write_text(json.dumps(contents))
        mesh = read(path)
        clay = (np.array(CLAY) * 255).round().tolist()
        assert [seen(mesh, face) for face in range(4)] == [[200, 0, 0], GREEN, [0, 0, 140], clay]

    @pytest.mark.parametrize("base", [{"baseColorFactor": [0, 0, 0, 1]}, {}])
    def test_what_only_shines_has_the_colour_of_its_light(self, tmp_path: Path, base: dict[str, Any]):
        material = {
            "name": "wall",
            "pbrMetallicRoughness": base,
            "emissiveFactor": [1, 1, 1],
            "emissiveTexture": {"index": 0},
        }
        mesh = read(write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, materials=[material]))
        assert seen(mesh) == [200, 0, 0]
        assert mesh.notes == ("wall of a.gltf only shines (emissive): its light is taken for its colour.",)

    def test_light_without_a_texture(self, tmp_path: Path):
        material = {
            "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 1]}, "emissiveFactor": [0, LINEAR_GREEN / 2, 0],
            "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 2}},
        }  # fmt: skip
        assert seen(read(write(tmp_path / "a.gltf", {}, materials=[material]))) == GREEN

    def test_a_colour_that_also_shines_keeps_its_own(self, tmp_path: Path):
        material = {"pbrMetallicRoughness": {"baseColorFactor": [0, LINEAR_GREEN, 0, 1]}, "emissiveFactor": [0.2, 0, 0]}
        mesh = read(write(tmp_path / "a.gltf", {}, materials=[material]))
        assert seen(mesh) == GREEN and mesh.notes == ()

    def test_what_is_transparent_is_said(self, tmp_path: Path):
        path = write(tmp_path / "a.gltf", {}, materials=[{"name": "glass", "alphaMode": "BLEND"}])
        assert read(path).notes == ("glass of a.gltf is transparent (alphaMode BLEND); it is painted as if it were not.",)


class TestPictures:
    @pytest.mark.parametrize("fallback", [False, True])
    def test_webp(self, tmp_path: Path, fallback: bool):
        images = (png([(200, 0, 0)]), png([(0, 0, 200)], kind="WEBP"))
        texture = {"extensions": {"EXT_texture_webp": {"source": 1}}} | ({"source": 0} if fallback else {})
        path = write(
            tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, {"baseColorTexture": {"index": 0}}, images, textures=[texture]
        )
        assert seen(read(path)) == ([200, 0, 0] if fallback else [0, 0, 200])

    def test_one_that_cannot_be_read_is_named(self, tmp_path: Path):
        path = write(
            tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, {"baseColorTexture": {"index": 0}}, ["data:image/png;base64,AAAA"]
        )
        with pytest.raises(ValueError, match=r"^mesh: the texture of: .*a\.gltf \(.*\) is "):
            read(path)


class TestCompression:
    @pytest.mark.parametrize(
        ("extension", "name"), [("KHR_draco_mesh_compression", "Draco"), ("EXT_meshopt_compression", "meshoptimizer")]
    )
    def test_is_named(self, tmp_path: Path, extension: str, name: str):
        path = write(tmp_path / "a.gltf", {}, extensionsRequired=[extension])
        with pytest.raises(ValueError, match=f"is compressed by {name}, which is not read; export it without compression.$"):
            read(path)

    def test_of_pictures_is_named_where_nothing_requires_it(self, tmp_path: Path):
        ktx2 = "data:image/ktx2;base64," + base64.b64encode(b"\xabKTX 20\xbb\r\n\x1a\n" + b"\0" * 60).decode()
        used = {
            "textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}],
            "extensionsUsed": ["KHR_texture_basisu"],
        }
        material = {"baseColorTexture": {"index": 0}}
        for top in (used, {}):
            path = write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, material, [ktx2], **top)
            with pytest.raises(ValueError, match=r"is compressed by Basis \(KTX2\), which is not read; export it without"):
                read(path)

    def test_a_picture_beside_a_compressed_one_is_read(self, tmp_path: Path):
        textures = [{"source": 0, "extensions": {"KHR_texture_basisu": {"source": 1}}}]
        path = write(tmp_path / "a.gltf", {"TEXCOORD_0": UVS}, {"baseColorTexture": {"index": 0}}, textures=textures)
        assert seen(read(path)) == [200, 0, 0]

    def test_of_shapes_is_named_where_nothing_requires_it(self, tmp_path: Path):
        path = write(tmp_path / "a.gltf", {})
        contents = json.loads(path.read_text())
        contents["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
        del contents["accessors"][0]["bufferView"]
        path.write_text(json.dumps(contents))
        with pytest.raises(ValueError, match="is compressed by Draco"):
            read(path)


class TestSkins:
    def skinned(self, path: Path, joints: list[list[int]], weights: list[list[float]], **top: Any) -> Path:
        """A triangle whose node stands far away, which must not count; joints at (0, 0, 5), and at (0, 0, 5) turned."""
        half = float(np.sqrt(0.5))
        identity = np.eye(4, dtype="f4").ravel().tolist()
        lifted = np.eye(4, dtype="f4")
        lifted[2, 3] = -5  # the first joint's place when the triangle was bound to it
        inverse = np.array([lifted.T.ravel().tolist(), identity], "f4")
        write(path, {"JOINTS_0": np.array(joints, "u1"), "WEIGHTS_0": np.array(weights, "f4")})
        contents = json.loads(path.read_text())
        raw = base64.b64decode(contents["buffers"][0]["uri"].partition(",")[2]) + inverse.tobytes()
        contents["buffers"][0] = {"byteLength": len(raw), "uri": f"data:;base64,{base64.b64encode(raw).decode()}"}
        contents["bufferViews"].append({"buffer": 0, "byteOffset": len(raw) - inverse.nbytes, "byteLength": inverse.nbytes})
        contents["accessors"].append({"bufferView": 3, "componentType": 5126, "count": 2, "type": "MAT4"})
        contents["accessors"][1].pop("normalized")
        contents |= {
            "nodes": [
                {"mesh": 0, "skin": 0, "translation": [100, 0, 0]},
                {"translation": [0, 0, 5], "children": [2]},
                {"rotation": [0, 0, half, half], "scale": [2, 2, 2]},
            ],
            "skins": [{"joints": [1, 2], "inverseBindMatrices": 3}],
            "scenes": [{"nodes": [0, 1]}],
        }
        path.write_text(json.dumps(contents | top))
        return path

    def test_vertices_stand_where_their_joints_put_them(self, tmp_path: Path):
        joints, weights = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], [[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]
        mesh = read(self.skinned(tmp_path / "a.gltf", joints, weights))
        # The first stays: its joint has not moved. The second is turned about z, twice as large and lifted: (0, 1, 0)
        # becomes (-2, 0, 5). Of the third, (0, 0, 1), half stays and half becomes (0, 0, 7).
        expected = np.array([[1, 0, 0], [-2, 0, 5], [0, 0, 4]])
        assert sorted(mesh.vertices.round(5).tolist()) == sorted(expected.astype(float).tolist()) and mesh.notes == ()

    def test_morph_weights_of_the_file_count(self, tmp_path: Path):
        path = write(tmp_path / "a.gltf", {"MOVED": np.full((3, 3), 2, "f4")})
        contents = json.loads(path.read_text())
        del contents["meshes"][0]["primitives"][0]["attributes"]["MOVED"]
        contents["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": 1}]
        contents["meshes"][0]["weights"] = [0.5]
        path.write_text(json.dumps(contents))
        assert sorted(read(path).vertices.tolist()) == sorted((np.eye(3) + 1).tolist())


class TestNodes:
    def test_stand_turned_and_mirrored_where_they_say(self, tmp_path: Path):
        half = float(np.sqrt(0.5))
        nodes = [
            {"translation": [10, 0, 0], "children": [1]},
            {"mesh": 0, "rotation": [0, 0, half, half], "scale": [-2, 2, 2]},  # a quarter turn about z
        ]
        mesh = read(write(tmp_path / "a.gltf", {}, nodes=nodes))
        expected = np.array([[10, -2, 0], [8, 0, 0], [10, 0, 2]])
        assert sorted(mesh.vertices.round(6).tolist()) == sorted(expected.astype(float).tolist())
        # Mirrored, a triangle would face the other way: it is turned around.
        assert mesh.normals[0] @ (mesh.vertices.mean(0) - [10, 0, 0]) > 0

    def test_integers_are_read_as_the_file_says(self, tmp_path: Path):
        """KHR_mesh_quantization: positions of 8 bits."""
        mesh = read(write(tmp_path / "a.gltf", {"POSITION": np.eye(3, dtype="u1") * 255}))
        assert sorted(mesh.vertices.tolist()) == sorted(np.eye(3).tolist())


class TestBrokenFiles:
    def change(self, path: Path, **top: Any) -> Path:
        path.write_text(json.dumps(json.loads(path.read_text()) | top))
        return path

    @pytest.mark.parametrize(
        "top",
        [{"materials": []}, {"nodes": [{"mesh": 0, "children": [0]}]}, {"meshes": [{"primitives": [{"attributes": {}}]}]}],
    )
    def test_what_contradicts_itself_is_refused(self, tmp_path: Path, top: dict[str, Any]):
        with pytest.raises(ValueError, match="^mesh: .* contradicts itself"):
            read(self.change(write(tmp_path / "a.gltf", {}), **top))

    def test_one_cut_short_is_refused(self, tmp_path: Path):
        path = write(tmp_path / "a.gltf", {})
        buffers = json.loads(path.read_text())["buffers"]
        with pytest.raises(ValueError, match="ends before its shapes do"):
            read(self.change(path, buffers=[buffers[0] | {"byteLength": 4000}]))

    def test_without_a_scene_what_lies_below_another_node_is_there_once(self, tmp_path: Path):
        nodes = [{"mesh": 0}, {"children": [0], "translation": [5, 0, 0]}]
        mesh = read(self.change(write(tmp_path / "a.gltf", {}), scenes=[], nodes=nodes))
        assert len(mesh.faces) == 1 and mesh.vertices[:, 0].min() == 5

    def test_what_is_not_read_of_a_node_is_told(self, tmp_path: Path):
        nodes = [{"mesh": 0, "extensions": {"EXT_mesh_gpu_instancing": {}}}]
        assert len(read(self.change(write(tmp_path / "a.gltf", {}), nodes=nodes)).notes) == 1
