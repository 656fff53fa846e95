"""Splats of a known ball are painted from the command line's functions: colours change, nothing else does."""

import json
from dataclasses import replace
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from ins3d.placement.scene import Placement
from ins3d.splats.compositing import render
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.paint_command import check_memory, run_paint_splats
from ins3d.splats.pictures import shine, splat_picture
from ins3d.splats.placing import place_splats
from ins3d.splats.ply import read_ply, write_ply
from ins3d.splats.settings import ExportSplats, PaintSplats, RenderSplats, SplatPatches
from ins3d.splats.showing import export_shown, open_splats, render_shown
from ins3d.splats.stylized import StylizedSplats, mean_size
from tests.splats.clouds import BACKGROUND, a_view, seen_ball, some_splats


class TestPicture:
    def test_is_the_rendered_one(self):
        view, splats = a_view(), some_splats(200, degree=1)
        picture = splat_picture(view, splats)
        seen = torch.from_numpy(picture.splats)
        rgb = picture.rgb(splats.rgb[seen] + shine(view, splats)[seen]) + picture.left * BACKGROUND
        assert (rgb.reshape(32, 40, 3) - render(view, splats, BACKGROUND)).abs().mean() < 0.004  # small weights are left out

    def test_every_pixel_has_all_its_light(self):
        picture = splat_picture(a_view(), some_splats())
        assert np.allclose(picture.weights.sum(1).A1 + picture.left[:, 0].numpy(), 1, atol=1e-3)

    def test_a_window_is_a_part_of_it(self):
        splats = some_splats()
        whole = splat_picture(a_view(), splats)
        part = whole.window(5, 7, 10, 12)
        full, cut = (each.rgb(splats.rgb[torch.from_numpy(each.splats)]) for each in (whole, part))
        assert len(part.splats) < len(whole.splats)
        assert torch.allclose(cut.reshape(10, 12, 3), full.reshape(32, 40, 3)[5:15, 7:19], atol=1e-6)

    def test_gradients_are_those_of_the_product(self):
        picture = splat_picture(a_view(), some_splats(30))
        colors = torch.rand(len(picture.splats), 3, requires_grad=True)
        (picture.rgb(colors) * torch.arange(1280.0)[:, None]).sum().backward()
        dense = torch.from_numpy(picture.weights.toarray())
        assert torch.allclose(colors.grad, (dense.T @ torch.arange(1280.0))[:, None].expand(-1, 3), rtol=1e-4)


class TestField:
    @pytest.fixture
    def field(self) -> StylizedSplats:
        torch.manual_seed(0)
        return StylizedSplats(2, "style", 64, Placement((0.0, 0.0, 0.0), 2.0, 0.1, 10.0, False, "told")).eval()

    def test_under_the_zero_code_colours_stay(self, field: StylizedSplats):
        splats = some_splats(50)
        rgb = 3 * splats.rgb - 1  # outside [0, 1] too
        found = field.rgb(rgb, splats.means, mean_size(splats.scales), torch.zeros(2))
        assert torch.allclose(found, rgb, atol=1e-6)

    def test_neighbours_are_painted_alike_and_far_ones_are_not(self, field: StylizedSplats):
        with torch.no_grad():
            for table in field.planes():
                table.normal_()
        grey, code, size = torch.full((3, 3), 0.5), torch.tensor([1.0, 0.0]), torch.full((3, 1), 1e-4)
        places = torch.tensor([[0.3, 0.2, 0.1], [0.3005, 0.2, 0.1], [-0.4, 0.3, 0.5]])
        first, near, far = field.rgb(grey, places, size, code)
        assert (first - near).abs().max() < 0.2 * (first - far).abs().max()

    def test_large_splats_get_no_fine_strokes(self, field: StylizedSplats):
        with torch.no_grad():
            for table in field.planes():
                table.normal_()
        places, code = torch.rand(200, 3), torch.tensor([1.0, 0.0])
        grey = torch.full((200, 3), 0.5)
        fine, smooth = (field.rgb(grey, places, torch.full((200, 1), size), code).std(0).mean() for size in (1e-4, 0.5))
        assert smooth < 0.5 * fine


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .ply with degree 1, and transforms.json of its cameras beside it."""
    folder = tmp_path_factory.mktemp("ball")
    seen = seen_ball(8, 64)
    splats, _ = place_splats(seen, 2.0, 5000, torch.Generator().manual_seed(0))
    shining = 0.1 * torch.randn(len(splats), 3, 3, generator=torch.Generator().manual_seed(1))
    write_ply(folder / "ball.ply", Gaussians(**{**vars(splats), "harmonics": shining}))
    frames = []
    for number, each in enumerate(seen):
        pose = torch.cat([each.view.camera_to_world, torch.tensor([[0.0, 0, 0, 1]])]).tolist()
        frames.append({"file_path": f"{number}.png", "transform_matrix": pose})
    lens = {name: getattr(seen[0].view, key) for name, key in {"fl_x": "fx", "fl_y": "fy", "cx": "cx", "cy": "cy"}.items()}
    (folder / "transforms.json").write_text(json.dumps({**lens, "w": 64, "h": 64, "frames": frames}))
    stripes = np.zeros((80, 80, 3), np.uint8)
    stripes[::4], stripes[1::4] = (230, 30, 20), (240, 200, 20)
    imageio.imwrite(folder / "red.png", stripes)
    imageio.imwrite(folder / "blue.png", stripes[..., ::-1])
    return folder


def settings_of(ball: Path, output: Path, **edits) -> PaintSplats:
    told = {
        "splats": ball / "ball.ply", "cameras": ball / "transforms.json", "styles": (str(ball / "red.png"),),
        "output": output, "size": 64, "steps": 12, "device": "cpu", "perceptual_encoder": "compact",
    }  # fmt: skip
    return PaintSplats(**{**told, **edits})


@pytest.fixture(scope="module")
def painted(ball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of `paint` with two styles."""
    output = tmp_path_factory.mktemp("painted") / "out"
    run_paint_splats(settings_of(ball, output, styles=(str(ball / "red.png"), str(ball / "blue.png")), mix=(0.0, 1.0)))
    return output


class TestPaint:
    def test_only_colours_change_and_they_are_the_styles(self, painted: Path):
        before, _ = read_ply(painted / "unpainted.ply", "x")
        after, _ = read_ply(painted / "painted.ply", "x")
        for name in ("means", "scales", "rotations", "opacities"):
            assert torch.allclose(getattr(after, name), getattr(before, name), atol=1e-5), name
        assert after.degree == 0  # strokes do not shine
        assert (after.rgb[:, 2] - after.rgb[:, 0]).mean() > (before.rgb[:, 2] - before.rgb[:, 0]).mean() + 0.05

    def test_another_mix_is_written_without_training(self, painted: Path, tmp_path: Path):
        found = {}
        for name, mix, strength in (("red", (1.0, 0.0), 1.0), ("content", (1.0, 0.0), 0.0), ("half", (1.0, 0.0), 0.5)):
            settings = ExportSplats(load_config=painted, output=tmp_path / f"{name}.ply", mix=mix, strength=strength)
            export_shown(settings, lambda: open_splats(painted, "load-config"))
            found[name], _ = read_ply(tmp_path / f"{name}.ply", "x")
        assert (found["red"].rgb[:, 0] - found["red"].rgb[:, 2]).mean() > 0.05
        before, _ = read_ply(painted / "unpainted.ply", "x")
        assert torch.allclose(found["content"].rgb, before.rgb, atol=1e-5)
        assert torch.allclose(found["content"].harmonics, before.harmonics, atol=1e-5)
        assert torch.allclose(found["half"].harmonics, 0.5 * before.harmonics, atol=1e-5)

    def test_a_film_of_it(self, painted: Path, tmp_path: Path):
        settings = RenderSplats(
            load=painted, output=tmp_path / "film.mp4", frames=5, size=64, keyframes=("0:1,0@1", "1:0,1@1")
        )
        render_shown(settings, lambda: open_splats(painted, "load"))
        frames = imageio.mimread(tmp_path / "film.mp4")
        assert len(frames) == 5 and frames[0].shape == (64, 64, 3)
        assert frames[0][..., 0].mean() > frames[0][..., 2].mean() and frames[4][..., 2].mean() > frames[4][..., 0].mean()

    def test_goes_on_where_it_was_stopped(self, ball: Path, tmp_path: Path):
        run_paint_splats(settings_of(ball, tmp_path / "whole", steps=8))
        run_paint_splats(settings_of(ball, tmp_path / "parts", steps=8))
        # as if it had been stopped after 8 of 12
        run_paint_splats(settings_of(ball, tmp_path / "parts", steps=12, resume=True))
        assert json.loads((tmp_path / "parts" / "run.json").read_text())["last"]["step"] == 12

    def test_without_cameras_it_looks_from_all_around(self, ball: Path, tmp_path: Path):
        run_paint_splats(settings_of(ball, tmp_path, cameras=None, views=6, steps=2))
        assert len(json.loads((tmp_path / "field.json").read_text())["cameras"]) == 6

    @pytest.mark.parametrize(
        ("edits", "message"),
        [
            ({"splats": Path("gone.ply")}, "splats: gone.ply does not exist; give a .ply of splats"),
            ({"cameras": Path("gone.json")}, "cameras: gone.json does not exist"),
            ({"views": 0}, "views: 0 is too little; use 1 or more."),
            ({"patches": SplatPatches(size=500)}, "patches.size / patches.strides: "),
            ({"mix": (1.0, 1.0)}, "mix: 2 weights for 1 styles"),
        ],
    )
    def test_errors_name_the_setting_and_leave_nothing(self, ball: Path, tmp_path: Path, edits: dict, message: str):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            run_paint_splats(settings_of(ball, tmp_path / "out", **edits))
        assert str(caught.value).startswith(message)
        assert not (tmp_path / "out").exists()

    def test_cameras_that_look_away_are_refused(self, ball: Path, tmp_path: Path):
        told = json.loads((ball / "transforms.json").read_text())
        for frame in told["frames"]:
            for row in frame["transform_matrix"][:3]:  # backwards
                row[0], row[2] = -row[0], -row[2]
        (tmp_path / "transforms.json").write_text(json.dumps(told))
        with pytest.raises(ValueError, match="cameras: none of 8 cameras sees a splat; give the cameras of this scene"):
            run_paint_splats(settings_of(ball, tmp_path / "out", cameras=tmp_path / "transforms.json"))

    def test_one_splat_can_be_painted(self, tmp_path: Path, ball: Path):
        one = replace(some_splats(1), means=torch.zeros(1, 3), scales=torch.full((1, 3), 0.3))
        write_ply(tmp_path / "one.ply", one)
        run_paint_splats(settings_of(ball, tmp_path / "out", splats=tmp_path / "one.ply", cameras=None, views=4, steps=1))
        assert len(read_ply(tmp_path / "out" / "painted.ply", "x")[0]) >= 1

    def test_what_does_not_fit_into_memory_is_refused_before_it_is_made(self):
        with pytest.raises(
            ValueError, match=r"splats: 9,000,000,000 splats seen by 1 cameras take [\d.]+ GB, and [\d.]+ GB"
        ):
            check_memory(9_000_000_000, [a_view()])


class TestShown:
    def test_a_file_of_anybody_is_shown_without_styles(self, ball: Path, tmp_path: Path):
        shown = open_splats(ball / "ball.ply", "load")
        assert shown.names == () and len(shown.views) > 3
        render_shown(RenderSplats(load=ball / "ball.ply", output=tmp_path / "f.gif", frames=2, size=48), lambda: shown)
        assert imageio.mimread(tmp_path / "f.gif")[0].shape[:2] == (48, 48)

    def test_another_folder_is_named(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="load: there is no field.json in .*; give the output folder of paint."):
            open_splats(tmp_path, "load")
