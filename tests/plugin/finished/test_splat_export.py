"""A finished run becomes splats, in every mix and in the dataset's coordinates; once made they are kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ins3d.plugin.field_splats import camera_of, look_from, painter, view_of
from ins3d.plugin.finished import splat_export
from ins3d.plugin.finished.scenes import open_scene as open_run
from ins3d.plugin.finished.splat_export import run_splats
from ins3d.plugin.style_field import FrequencyStyle
from ins3d.splats.compositing import render
from ins3d.splats.gaussians import plain_gaussians
from ins3d.splats.ply import read_ply
from ins3d.splats.settings import ExportSplats
from ins3d.splats.showing import ShownSplats, export_shown
from tests.plugin.tiny_scenes import HEIGHT, WIDTH, Scene, make_two_styles, small_config, train

SMALL = {"steps": 60, "size": 48}


@pytest.fixture(scope="module")
def run(open_scene: Scene, tmp_path_factory: Any) -> Path:
    """config.yml of a run of two styles."""
    folder = tmp_path_factory.mktemp("two")
    styles = make_two_styles(folder)
    return (
        train(small_config(open_scene, folder, content_steps=150, style_steps=20, model__styles=styles)).base_dir
        / "config.yml"
    )


@pytest.fixture(scope="module")
def shown(run: Path) -> ShownSplats:
    """Its splats."""
    return run_splats(run, ExportSplats(load_config=run, **SMALL))


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(-10 * ((first.clamp(0, 1) - second.clamp(0, 1)) ** 2).mean().log10())


class TestFieldView:
    def test_shows_what_the_run_renders(self, run: Path):
        scene = open_run(run)
        view = view_of(scene.cameras, 0).reduced(32)
        seen = look_from(scene.pipeline.model, view, view.reduced(16))
        assert seen.pictures.shape == (3, *view.shape, 3)  # the content and two styles
        rendered = scene.render(camera_of(view))
        mix = scene.pipeline.model.controls.code()
        assert psnr(seen.over(1 + int(mix.argmax()), torch.ones(3)), rendered.permute(1, 2, 0)) > 50
        assert torch.allclose(seen.weights.float().sum(-1), torch.ones(len(seen.weights)), atol=0.01)  # an open scene
        assert (seen.edges.float().diff(dim=-1) >= 0).all()

    def test_a_view_is_the_hosts_camera(self, run: Path):
        camera = open_run(run).cameras
        view = view_of(camera, 0)
        assert view.shape == (HEIGHT, WIDTH)
        rays = camera[0:1].generate_rays(camera_indices=0, keep_shape=True)
        points = rays.origins + 2 * rays.directions
        places, inside = view.places(view.seen_from(points.reshape(-1, 3)))
        assert inside.all()
        assert torch.allclose(places.reshape(HEIGHT, WIDTH, 2)[3, 5], torch.tensor([5.5, 3.5]), atol=1e-3)


class TestSplats:
    def test_look_as_the_field_does_in_every_style(self, run: Path, shown: ShownSplats):
        scene = open_run(run)
        view = view_of(scene.cameras, 0).reduced(48)
        seen = look_from(scene.pipeline.model, view, view.reduced(24))
        for look, code in enumerate(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])):
            assert psnr(render(view, shown.painted(code), shown.background), seen.over(look, shown.background)) > 20

    def test_half_the_strength_is_between(self, shown: ShownSplats):
        none, half, full = (shown.painted(torch.tensor([share, 0.0])).rgb for share in (0.0, 0.5, 1.0))
        assert 0.2 < (half - none).abs().mean() / (full - none).abs().mean() < 0.8

    def test_under_the_zero_code_the_network_leaves_colours(self, run: Path, shown: ShownSplats):
        model, splats = open_run(run).pipeline.model, shown.painted(torch.zeros(2))
        inside = replace(splats, rgb=splats.rgb.clamp(0, 1))
        assert torch.allclose(painter(model, inside)(torch.zeros(2)), inside.rgb, atol=1e-5)

    def test_the_papers_network_which_mixes_features_and_knows_directions_is_asked_too(
        self, open_scene: Scene, tmp_path: Path
    ):
        style = FrequencyStyle(width=16, num_frequencies=4)
        model = train(
            small_config(open_scene, tmp_path, content_steps=5, style_steps=2, model__style_field=style)
        ).pipeline.model
        points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 0.1
        upright = torch.tensor([1.0, 0, 0, 0]).expand(50, 4)
        splats = plain_gaussians(points, torch.full((50, 3), 0.01), upright, torch.full((50,), 0.9), torch.rand(50, 3))
        paint = painter(model.eval(), splats)
        assert torch.allclose(paint(torch.zeros(1)), splats.rgb, atol=1e-5)
        assert (paint(torch.ones(1)) - splats.rgb).abs().max() > 1e-3

    def test_are_kept_beside_the_run_and_not_made_again(
        self, run: Path, shown: ShownSplats, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(splat_export, "make_splats", None)
        again = run_splats(run, ExportSplats(load_config=run, **SMALL))
        code = torch.tensor([0.3, 0.7])
        assert torch.equal(again.painted(code).rgb, shown.painted(code).rgb)
        with pytest.raises(TypeError):  # another size: made anew
            run_splats(run, ExportSplats(load_config=run, steps=60, size=40))

    def test_lie_in_the_datasets_coordinates(self, run: Path, shown: ShownSplats, open_scene: Scene, tmp_path: Path):
        settings = ExportSplats(load_config=run, output=tmp_path / "a.ply", mix=(0.0, 1.0))
        export_shown(settings, lambda: shown)
        export_shown(replace(settings, output=tmp_path / "b.ply", frame="nerfstudio"), lambda: shown)
        ours, _ = read_ply(tmp_path / "a.ply", "x")
        hosts, _ = read_ply(tmp_path / "b.ply", "x")
        frame = json.loads((open_scene.folder / "transforms.json").read_text())["frames"][0]
        pose = torch.tensor(frame["transform_matrix"])[:3]
        outputs = open_run(run).pipeline.datamanager.train_dataparser_outputs
        index = [path.name for path in outputs.image_filenames].index(Path(frame["file_path"]).name)
        view = view_of(outputs.cameras, index)
        from_dataset = render(replace(view, camera_to_world=pose), ours, shown.background)
        assert psnr(from_dataset, render(view, hosts, shown.background)) > 40
        away = (ours.means.median(0).values - torch.as_tensor(open_scene.center).float()).norm()
        assert away < 3 * open_scene.radius


class TestErrors:
    def test_a_run_that_is_not_there(self):
        with pytest.raises(FileNotFoundError, match="load-config: gone.yml does not exist; give the config.yml"):
            run_splats(Path("gone.yml"))
