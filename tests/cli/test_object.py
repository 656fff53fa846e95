"""The script that paints objects, from flags to files."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

import ins3d.cli.object
from ins3d.files.pictures import read_rgb
from ins3d.meshes.files import read_mesh
from ins3d.runs import record
from ins3d.style.mix import read_keyframes
from ins3d.surfaces import fit_commands, stylize_command
from ins3d.surfaces.checkpoint import load_surface
from ins3d.surfaces.settings import StylizeSurface

CPU = torch.device("cpu")
SMALL_FIT = ["--steps", "40"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return ins3d.cli.object


@pytest.fixture(scope="module", autouse=True)
def few_places():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_commands, "PLACES", 20_000)
        patch.setattr(fit_commands, "POINTS", 512)
        patch.setattr(fit_commands, "PREVIEW_SIZE", 24)
        patch.setattr(fit_commands, "PICTURE_SIZE", 32)
        patch.setattr(fit_commands, "PREVIEW_VIEWS", 2)
        yield


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the origin, 2 x 4 x 2 large, with a texture of which each side has a part of its own."""
    shape = trimesh.creation.box((2, 4, 2))
    shape.apply_translation((10, 0, 5))
    lines = [f"v {x} {y} {z}" for x, y, z in shape.vertices]
    for number, normal in enumerate(shape.face_normals):
        side = int(np.abs(normal).argmax()) + 3 * int(normal.max() > 0.5)
        left, low = (side % 3) / 3 + 0.02, (side // 3) / 2 + 0.02
        # Two triangles a side: each takes a corner of the side's part.
        first = number == min(np.flatnonzero((shape.face_normals == normal).all(1)))
        corners = [(0, 0), (0.28, 0), (0, 0.44)] if first else [(0.29, 0.45), (0.29, 0.02), (0.02, 0.45)]
        lines += [f"vt {left + u} {low + v}" for u, v in corners]
    uvs = iter(range(1, 100))
    lines += ["f " + " ".join(f"{corner + 1}/{next(uvs)}" for corner in face) for face in shape.faces]
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "box.obj").write_text("\n".join(["mtllib box.mtl", "usemtl m", *lines]))
    (folder / "box.mtl").write_text("newmtl m\nmap_Kd box.png\n")
    colors = np.random.default_rng(0).integers(60, 200, (2, 3, 3), dtype=np.uint8)
    imageio.imwrite(folder / "box.png", np.kron(colors, np.ones((32, 32, 1), dtype=np.uint8)))
    return folder / "box.obj"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What several tests look at, made once."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def judged(shared: Path, tiny_vgg: Callable[..., dict[str, Tensor]]) -> list[str]:
    torch.save(tiny_vgg(last=19), shared / "tiny.pth")
    for name in ("wave", "mosaic"):
        colors = np.random.default_rng(len(name)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        imageio.imwrite(shared / f"{name}.png", np.kron(colors, np.ones((5, 5, 1), dtype=np.uint8)))
    layers = ["--style-layers", "relu1_1", "relu2_1", "--content-layers", "relu2_1", "--style-size", "40"]
    styles = ["--styles", str(shared / "wave.png"), str(shared / "mosaic.png")]
    patches = ["--patches.size", "16", "--patches.max-rays", "4000", "--patches.strides", "1", "2"]
    small = [*patches, "--views", "4", "--view-size", "64"]
    return ["--perceptual-weights", str(shared / "tiny.pth"), *layers, *styles, *small]


@pytest.fixture(scope="module")
def fit(script: ModuleType, box: Path, few_places: None) -> Path:
    script.main(["fit-mesh", "--mesh", str(box), "--output", str(box.parent / "fit"), *SMALL_FIT])
    return box.parent / "fit"


@pytest.fixture
def painted(script: ModuleType, fit: Path, judged: list[str], shared: Path, tmp_path: Path) -> Path:
    """A copy of one's own of the box painted in two styles."""
    if not (shared / "painted").is_dir():
        exported = ["--export", "obj", "--texture", "64"]
        output = shared / "unfinished"
        script.main(["stylize", "--fit", str(fit), "--output", str(output), "--steps", "12", *judged, *exported])
        output.rename(shared / "painted")
    return shutil.copytree(shared / "painted", tmp_path / "painted")


def refusal(script: ModuleType, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        script.main([str(argument) for argument in arguments])
    return str(stop.value)


def stopped_after(steps: int, script: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-C."""
    went_on = record.PictureRecord.__call__

    def stopping(record, step, losses, picture):
        went_on(record, step, losses, picture)
        if step == steps:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record.PictureRecord, "__call__", stopping)
        assert refusal(script, *arguments) == "130"


class TestFitMesh:
    def test_writes_a_field_what_it_depends_on_and_what_it_looks_like(self, fit: Path):
        assert {path.name for path in fit.iterdir()} == {
            "field.safetensors", "field.json", "training.pt", "picture.png", "loss.csv", "loss.png", "run.json",
        }  # fmt: skip
        # Colours above normals, from two sides.
        assert read_rgb(fit / "picture.png", "p").shape == (3, 64, 64)
        assert json.loads((fit / "run.json").read_text())["settings"]["steps"] == 40

    def test_keeps_where_the_mesh_was(self, fit: Path):
        _, spec = load_surface(fit, "load", CPU)
        assert spec.placement.center == (10, 0, 5)
        # Half of the diagonal of 2 x 4 x 2 is the square root of 6; it reaches .9 of the ball.
        assert spec.placement.scale == pytest.approx(6**0.5 / 0.9)

    def test_a_stopped_fit_goes_on_as_if_it_had_not_been(self, script, fit: Path, box: Path, tmp_path: Path, monkeypatch):
        arguments = ["fit-mesh", "--mesh", str(box), "--output", str(tmp_path / "other"), *SMALL_FIT]
        stopped_after(20, script, arguments, monkeypatch)
        assert json.loads((tmp_path / "other" / "run.json").read_text())["stopped"]
        script.main([*arguments, "--resume"])
        one, other = (load_surface(folder, "load", CPU)[0].state_dict() for folder in (fit, tmp_path / "other"))
        assert all(torch.equal(value, other[name]) for name, value in one.items())
        steps = [int(row["step"]) for row in csv.DictReader((tmp_path / "other" / "loss.csv").open())]
        assert steps == list(range(1, 41))

    def test_an_open_sheet_is_said_to_be_one(self, script, tmp_path: Path, capsys):
        (tmp_path / "sheet.obj").write_text("v 0 0 0\nv 100 0 0\nv 100 100 0\nv 0 100 0\nf 1 2 3 4\n")
        script.main(["fit-mesh", "--mesh", str(tmp_path / "sheet.obj"), "--output", str(tmp_path / "fit"), *SMALL_FIT])
        # Half a diagonal is 70.7, .9 of the ball: its radius is 78.6, and the sheet .02 of that.
        assert "The mesh encloses nothing: it is fitted as a sheet 1.57 thick" in capsys.readouterr().out

    def test_holes_are_said_to_be_closed(self, script, box: Path, tmp_path: Path, capsys):
        (box.parent / "open.obj").write_text(box.read_text().rsplit("\n", 2)[0])  # without its last two triangles
        script.main(["fit-mesh", "--mesh", str(box.parent / "open.obj"), "--output", str(tmp_path / "fit"), *SMALL_FIT])
        assert "The mesh has holes: its inside is told by the winding number" in capsys.readouterr().out
        script.main(["fit-mesh", "--mesh", str(box), "--output", str(tmp_path / "fit"), *SMALL_FIT])
        assert "The mesh has holes" not in capsys.readouterr().out

    def test_triangles_that_face_inwards_are_counted(self, script, box: Path, tmp_path: Path, capsys):
        lines = box.read_text().splitlines()
        turned = [line if not line.startswith("f") else "f " + " ".join(line.split()[:0:-1]) for line in lines]
        (box.parent / "turned.obj").write_text("\n".join(turned))
        script.main(["fit-mesh", "--mesh", str(box.parent / "turned.obj"), "--output", str(tmp_path / "fit"), *SMALL_FIT])
        assert "12 of 12 triangles faced inwards, and were turned around." in capsys.readouterr().out


class TestStylize:
    def test_writes_a_painted_mesh_where_the_mesh_was(self, painted: Path):
        mesh = read_mesh(painted / "mesh" / "painted.obj", "mesh")
        np.testing.assert_allclose([mesh.vertices.min(0), mesh.vertices.max(0)], [[9, -2, 4], [11, 2, 6]], atol=1e-5)
        assert mesh.textures[0].std() > 0.01

    def test_locked_geometry_is_the_fits_to_the_last_bit(self, painted: Path, fit: Path):
        field, _ = load_surface(painted, "load", CPU)
        content, _ = load_surface(fit, "fit", CPU)
        at = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
        for code in torch.eye(2):
            assert torch.equal(field.shown(code).signed_distance(at), content.signed_distance(at))

    def test_distilled_geometry_stays_within_its_bound(self, script, fit: Path, judged: list[str], tmp_path: Path):
        distilled = ["--steps", "6", *judged, "--export", "--geometry", "distilled", "--bound", "0.01"]
        script.main(["stylize", "--fit", str(fit), "--output", str(tmp_path / "d"), *distilled])
        field, spec = load_surface(tmp_path / "d", "load", CPU)
        at = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
        moved = field.shown(torch.eye(2)[0]).signed_distance(at) - field.content.signed_distance(at)
        assert spec.bound == 0.01 and 0 < float(moved.abs().max()) <= 0.01 + 1e-6

    def test_fits_first_and_takes_that_fit_the_next_time(
        self, script, box: Path, judged: list[str], tmp_path: Path, monkeypatch, capsys
    ):
        went_on = stylize_command.run_fit_mesh
        monkeypatch.setattr(stylize_command, "run_fit_mesh", lambda fit: went_on(replace(fit, steps=20)))
        arguments = ["stylize", "--mesh", str(box), "--output", str(tmp_path / "o"), "--steps", "2", *judged, "--export"]
        script.main(arguments)
        numbers = tmp_path / "o" / "fit" / "field.safetensors"
        before = numbers.stat().st_mtime_ns
        script.main(arguments)
        assert (
            numbers.stat().st_mtime_ns == before and "is taken; delete it to fit the object anew" in capsys.readouterr().out
        )
        # A mesh that has changed since is another one.
        usual = box.stat().st_mtime
        os.utime(box, (numbers.stat().st_mtime + 100,) * 2)
        script.main(arguments)
        os.utime(box, (usual, usual))
        assert numbers.stat().st_mtime_ns != before

    def test_what_is_refused_has_cost_nothing(self, script, painted: Path, judged: list[str], tmp_path: Path):
        folder = tmp_path / "again"
        shutil.copytree(painted, folder)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        (tmp_path / "none.obj").write_text("v 0 0 0\n")
        refusal(script, "stylize", "--mesh", tmp_path / "none.obj", "--output", folder, *judged)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    def test_a_stopped_run_goes_on_as_if_it_had_not_been(
        self, script, fit: Path, painted: Path, judged: list[str], tmp_path: Path, monkeypatch
    ):
        arguments = ["stylize", "--fit", str(fit), "--output", str(tmp_path / "s"), "--steps", "12", *judged, "--export"]
        stopped_after(5, script, arguments, monkeypatch)
        script.main([*arguments, "--resume"])
        one, other = (load_surface(folder, "load", CPU)[0].state_dict() for folder in (painted, tmp_path / "s"))
        assert all(torch.equal(value, other[name]) for name, value in one.items())


class TestWindows:
    @pytest.mark.parametrize(("view", "patch", "strides"), [(512, 192, (1, 1, 2)), (300, 192, (1, 1)), (64, 64, (1, 1))])
    def test_are_as_large_as_views_allow(self, view: int, patch: int, strides: tuple[int, ...]):
        plan = stylize_command.window_plan(StylizeSurface(), view, view)
        assert (plan.patch, plan.strides) == (patch, strides)
        assert all(side * stride <= view for stride, side in plan.sides.items())


class TestExport:
    def test_paints_the_meshs_own_texture_and_keeps_its_triangles(self, script, painted: Path, box: Path, tmp_path: Path):
        script.main(
            ["export", "--load", str(painted), "--output", str(tmp_path / "m"), "--formats", "obj", "--texture", "128"]
        )
        before, after = read_mesh(box, "mesh"), read_mesh(tmp_path / "m" / "painted.obj", "mesh")
        np.testing.assert_allclose(after.vertices[after.faces], before.vertices[before.faces], atol=1e-5)
        np.testing.assert_allclose(after.corner_uvs, before.corner_uvs, atol=1e-6)
        assert after.textures[0].shape == (128, 128, 3)

    def test_strength_0_is_the_content_and_mixes_differ(self, script, painted: Path, fit: Path, tmp_path: Path):
        def colors(name: str, load: Path, *flags: str) -> np.ndarray:
            script.main(
                ["export", "--load", str(load), "--output", str(tmp_path / name), "--formats", "ply", "--resolution", "24",
                 *flags]
            )  # fmt: skip
            return read_mesh(tmp_path / name / "painted.ply", "mesh").vertex_colors

        plain, none = colors("plain", fit), colors("none", painted, "--strength", "0")
        wave, mosaic = colors("wave", painted), colors("mosaic", painted, "--mix", "0", "1")
        assert np.array_equal(plain, none)
        assert np.abs(wave - plain).max() > 0.02 and np.abs(wave - mosaic).max() > 0.02

    def test_a_mesh_that_is_gone_is_asked_for(self, script, painted: Path, box: Path, tmp_path: Path):
        told = painted / "field.json"
        told.write_text(told.read_text().replace(str(box), "/gone.obj"))
        said = refusal(script, "export", "--load", painted, "--output", tmp_path / "m", "--formats", "obj")
        assert said == "mesh: /gone.obj does not exist; give a mesh (.obj, .ply, .stl, .glb, .gltf)."
        assert not (tmp_path / "m").exists()
        script.main(
            ["export", "--load", str(painted), "--output", str(tmp_path / "m"), "--formats", "obj", "--mesh", str(box)]
        )
        assert (tmp_path / "m" / "painted.obj").is_file()

    def test_another_mesh_is_refused(self, script, painted: Path, tmp_path: Path):
        shape = trimesh.creation.icosphere(radius=0.3)
        shape.apply_translation((10, 0, 5))
        shape.export(tmp_path / "ball.ply")
        said = refusal(
            script,
            "export",
            "--load",
            painted,
            "--output",
            tmp_path / "m",
            "--mesh",
            tmp_path / "ball.ply",
            "--surface",
            "mesh",
        )
        assert said.startswith(f"mesh: {tmp_path / 'ball.ply'} is another mesh than was fitted (half of its corners lie 0.")
        assert not (tmp_path / "m").exists()


class TestRender:
    def test_a_film_of_colour_normals_and_depth(self, script, painted: Path, tmp_path: Path):
        flags = ["--pictures", "rgb", "normals", "depth", "--size", "32", "--frames", "4", "--supersampling", "1"]
        script.main(["render", "--load", str(painted), "--output", str(tmp_path / "film.mp4"), *flags])
        assert imageio.imread(tmp_path / "film.mp4").shape == (4, 32, 96, 3)

    def test_keyframes_move_mix_and_strength(self, script, painted: Path, tmp_path: Path):
        still = ["render", "--load", str(painted), "--size", "32", "--supersampling", "1"]
        keys = ["--keyframes", "0:1,0@0", "1:0,1@1"]
        # Three frames of a turn, of which the first is strength 0 and the last the second style.
        script.main([*still, "--output", str(tmp_path / "k"), "--frames", "3", *keys])
        script.main([*still, "--output", str(tmp_path / "content"), "--frames", "3", "--strength", "0"])
        script.main([*still, "--output", str(tmp_path / "mosaic"), "--frames", "3", "--mix", "0", "1"])

        def shown(folder: str, frame: int) -> np.ndarray:
            return imageio.imread(tmp_path / folder / f"{frame:03d}_rgb.png")

        assert np.array_equal(shown("k", 0), shown("content", 0)) and np.array_equal(shown("k", 2), shown("mosaic", 2))
        middle = shown("k", 1)
        assert not np.array_equal(middle, shown("content", 1)) and not np.array_equal(middle, shown("mosaic", 1))


def test_photographs_of_the_projects_own_shape(script, judged: list[str], tmp_path: Path):
    """From pictures to a painted mesh, by their own cameras."""
    fit = tmp_path / "fit"
    script.main(["fit-images", "--output", str(fit), "--size", "48", "--steps", "60", "--rays", "128"])
    told = json.loads((fit / "run.json").read_text())
    assert told["silhouette_iou"] > 0.7 and told["psnr"] > 8
    output = tmp_path / "p"
    script.main(["stylize", "--fit", str(fit), "--output", str(output), "--steps", "2", *judged, "--export"])
    few = ["--size", "24", "--frames", "2", "--supersampling", "1"]
    script.main(["render", "--load", str(output), "--output", str(tmp_path / "r"), *few])
    assert len(list((tmp_path / "r").iterdir())) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["fit-mesh", "--mesh", "gone.obj"], "mesh: gone.obj does not exist"),
            (["fit-images", "--images", "gone"], "images: gone is no folder"),
            (["fit-mesh", "--steps", "0"], "steps: 0 is too little; use 1 or more."),
            (["stylize", "--mesh", "a.obj", "--images", "b"], "images: mesh is given too; paint one object in a run."),
            (["stylize", "--resume"], "resume: there is no training.pt in"),
            (["stylize", "--mesh", "gone.obj"], "mesh: gone.obj does not exist"),
            (["stylize", "--patches.size", "0"], "patches.size: 0 is too little"),
            (["stylize", "--patches.max-rays", "0"], "patches.max-rays: 0 is too little; use 1 or more."),
            (
                ["stylize", "--patches.size", "200", "--view-size", "128"],
                "patches.size / patches.strides: a patch of 200 rays at stride 1 covers 200 pixels, more than the 128x128 "
                "picture has; use a patch size of 128 or less.",
            ),
            (["stylize", "--patches.rule", "frames"], "patches.rule: frames looks at whole pictures, mostly empty ones; "),
            (["stylize", "--stroke-size", "0"], "stroke-size: 0.0 is too little; use 0.2 or more."),
            (["stylize", "--stroke-size", "100"], "stroke-size: 100.0 is too much; use 5 or less."),
            (["stylize", "--views", "1"], "views: 1 is too little; use 4 or more."),
            (["stylize", "--view-size", "8"], "view-size: 8 is too little; use 16 or more."),
            (["stylize", "--bound", "-1", "--geometry", "distilled"], "bound: -1"),
            (["export", "--load", "gone"], "load: there is no field.json in gone; give the output folder of fit-mesh, "),
            (["export", "--resolution", "2"], "resolution: 2 is too little; use 8 or more."),
            (["export", "--formats"], "formats: none is given; use one or more of obj, glb, ply."),
            (["render", "--output", "film.avi"], "output: film.avi is no .mp4 or .gif"),
            (["render", "--elevation", "100"], "elevation: 100.0 is too much; use 90 or less."),
            (["render", "--background", "2"], "background: 2.0 is too much; use 1 or less."),
            (["render", "--frames", "0"], "frames: 0 is too little; use 1 or more."),
            (["fit-mesh", "--seed", "-1"], "seed: -1 is too little; use 0 or more."),
            (["fit-images", "--hold-out", "1"], "hold-out: 1 leaves no picture to learn from; use 2 or more, or 0."),
            (["fit-mesh", "--device", "cuda"], "device: "),
            (["fit-images", "--device", "cuda"], "device: "),
        ],
    )  # fmt: skip
    def test_name_the_setting_the_value_and_the_remedy(
        self, script, arguments: list[str], said: str, tmp_path: Path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        output = [] if "--output" in arguments else ["--output", str(tmp_path / "o" / "out.mp4")]
        assert refusal(script, *arguments, *output).startswith(said)
        assert not (tmp_path / "o").exists()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x", "keyframes: 'x' is not TIME:WEIGHTS@STRENGTH, such as 0.5:1,1@0.8."),
            ("2:1,0", "keyframes: the time of '2:1,0' is outside 0 (the first frame) to 1 (the last)."),
            ("0:1", "keyframes: '0:1': 1 weights for 2 styles; give one for each of wave, mosaic."),
            ("0:1,0@3", "keyframes: '0:1,0@3': 3 is outside 0 (the content) to 1 (full style)."),
        ],
    )
    def test_of_keyframes(self, text: str, said: str):
        with pytest.raises(ValueError, match=re.escape(said)):
            read_keyframes([text], ("wave", "mosaic"))

    def test_of_a_film_whose_name_a_folder_has(self, script, painted: Path, tmp_path: Path):
        (tmp_path / "film.mp4").mkdir()
        said = refusal(script, "render", "--load", painted, "--output", tmp_path / "film.mp4")
        assert said == f"output: {tmp_path / 'film.mp4'} is a folder; name a film that can be written."

    def test_of_another_scripts_field(self, script, tmp_path: Path):
        meaning = {"kind": "stylize", "network": "planes", "long_side": 16, "styles": [], "colors": "none"}
        (tmp_path / "field.json").write_text(json.dumps(meaning))
        said = refusal(script, "render", "--load", tmp_path, "--output", tmp_path / "x.mp4")
        assert said.endswith("is not what fit-mesh, fit-images or stylize write; name their output, or run it again.")


def test_what_each_subcommand_says_of_itself_is_that_of_the_golden_file(script, assert_golden):
    assert_golden(script, "sdf_stylize_help.txt")
