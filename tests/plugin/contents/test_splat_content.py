"""Splats as a content: the open scene's sphere and plane, covered with splats whose colours are known."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.method_configs import method_configs
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from scipy.spatial.transform import Rotation
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.placement.scene import Placement
from ins3d.plugin.content_checkpoint import load_content
from ins3d.plugin.contents.content import build_content
from ins3d.plugin.contents.splat_content import SplatContent, SplatSettings
from ins3d.plugin.contents.splat_files import SplatCheckpoint
from ins3d.plugin.finished.splat_export import run_splats
from ins3d.plugin.rays.look import Merging
from ins3d.splats.compositing import render
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.ply import CONSTANT, write_ply
from ins3d.splats.views import View
from tests.plugin.tiny_scenes import (
    FOCAL,
    HEIGHT,
    PLANE_Z,
    SPHERE_CENTER,
    SPHERE_RADIUS,
    WIDTH,
    Scene,
    build_pipeline,
    build_trainer,
    small_config,
    texture,
    train,
)
from tests.splats.clouds import BACKGROUND, a_view, some_splats


def covered_scene(apart: float = 0.05, opacity: float = 0.4) -> Gaussians:
    """Flat splats on the sphere and the plane of `make_open_scene`, so close that next to nothing shows through."""
    steps = np.arange(int(4 * np.pi * (SPHERE_RADIUS / apart) ** 2)) + 0.5
    height, angle = 1 - 2 * steps / len(steps), steps * np.pi * (3 - 5**0.5)
    flat = np.sqrt(1 - height**2)
    out = np.stack([flat * np.cos(angle), flat * np.sin(angle), height], axis=-1)
    sphere = SPHERE_CENTER + SPHERE_RADIUS * out
    side = np.arange(-3.4, 3.4, apart)
    plane = np.stack([*(each.ravel() for each in np.meshgrid(side, side)), np.full(len(side) ** 2, PLANE_Z)], axis=-1)
    rgb = np.concatenate([texture(sphere + 5, 6.0), texture(plane, 4.0)])
    means = np.concatenate([sphere, plane])
    turns = [Rotation.align_vectors([normal], [[0.0, 0.0, 1.0]])[0].as_quat() for normal in out]
    xyzw = np.concatenate([np.array(turns), np.zeros_like(plane[:, [0, 0, 0, 0]]) + [0.0, 0.0, 0.0, 1.0]])
    scales = np.zeros_like(means) + [0.6 * apart, 0.6 * apart, 0.01 * apart]
    told = (means, scales, xyzw[:, [3, 0, 1, 2]], np.full(len(means), opacity), rgb)
    return plain_gaussians(*(torch.from_numpy(each).float() for each in told))


@pytest.fixture(scope="module")
def splats() -> Gaussians:
    return covered_scene()


@pytest.fixture(scope="module")
def file(splats: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("splats") / "scene.ply"
    write_ply(path, splats)
    return path


def content_of(splats: Gaussians, bounded: bool = False) -> SplatContent:
    content = build_content(SplatSettings(len(splats), splats.degree)).eval()
    assert isinstance(content, SplatContent)
    content.take(splats)
    content.place(Placement((0.0, 0.0, 0.0), 1.0, 1.0, 6.0, bounded, "the test"), BACKGROUND)
    return content


def pixel_rays(view: Any) -> RayBundle:
    down, across = torch.meshgrid(torch.arange(view.height) + 0.5, torch.arange(view.width) + 0.5, indexing="ij")
    seen = torch.stack([(across - view.cx) / view.fx, (down - view.cy) / view.fy, torch.ones_like(down)], dim=-1)
    directions = F.normalize(seen @ view.axes(), dim=-1).reshape(-1, 3)
    area = torch.full((len(directions), 1), 1 / (view.fx * view.fy))
    return RayBundle(view.center.expand_as(directions), directions, area)


class TestALook:
    @pytest.mark.parametrize("degree", [0, 1, 3])
    def test_is_the_compositors_picture(self, degree: int):
        splats, view = some_splats(300, degree), a_view()
        splats = splats.painted(splats.rgb + 1)  # colours below 0 are cut off here
        look = content_of(splats).look(pixel_rays(view), Merging(2))
        picture = render(view, splats, BACKGROUND).reshape(-1, 3)
        assert float(peak_signal_noise_ratio(look.rgb, picture, data_range=2.0)) > 45

    @pytest.mark.parametrize("number", [None, 1, 3])
    def test_has_points_whose_own_colours_are_the_picture(self, number: int | None, splats: Gaussians):
        content, view = content_of(splats), a_view(distance=2.5)
        rays = pixel_rays(view)
        look = content.look(rays, Merging(number, spread_mult=0.5, footprint_mult=0.5))
        assert look.points.positions.shape == (len(rays), number or look.weights.shape[1], 3)
        torch.testing.assert_close(look.points.weights.sum(1), look.accumulation)
        torch.testing.assert_close(look.weights.sum(1), look.accumulation)
        rgb = content.restyle(look.points, look.points.color_features, None)
        torch.testing.assert_close((look.points.weights * rgb).sum(1) + (1 - look.accumulation) * BACKGROUND, look.rgb)
        assert float(look.points.spread.min()) >= 0

    def test_finds_the_sphere_where_it_is_and_is_at_right_angles_to_it(self):
        directions = F.normalize(torch.tensor([[0.05, -0.02, -1.0], [0.1, 0.05, -1.0]]), dim=-1)
        rays = RayBundle(torch.tensor([[0.0, 0.0, 2.5]]).expand(2, 3), directions, torch.full((2, 1), 1e-5))
        content = content_of(covered_scene(0.022, 0.95))
        look = content.look(rays, Merging(1))
        points = rays.origins + directions * look.depth
        center = torch.from_numpy(SPHERE_CENTER).float()
        assert ((points - center).norm(dim=-1) - SPHERE_RADIUS).abs().max() < 0.03
        assert (content.normals(points) * F.normalize(points - center, dim=-1)).sum(-1).abs().min() > 0.98
        assert (look.accumulation > 0.9).all()
        outside = content.placement(points)
        assert torch.allclose(look.points.positions[:, 0], outside, atol=1e-3)

    def test_rays_of_several_origins_and_all_directions_see_what_each_sees_alone(self, splats: Gaussians):
        generator = torch.Generator().manual_seed(0)
        origins = torch.tensor([[0.0, 0.0, 2.5], [1.5, 0.3, 1.5]])[torch.randint(2, (30,), generator=generator)]
        directions = F.normalize(torch.randn(30, 3, generator=generator), dim=-1)
        rays, content = RayBundle(origins, directions, torch.full((30, 1), 1e-5)), content_of(splats)
        together = content.look(rays, Merging(2))
        for number in range(30):
            alone = content.look(rays[number : number + 1], Merging(2))
            assert torch.allclose(alone.rgb[0], together.rgb[number], atol=0.02)
            assert torch.allclose(alone.depth[0], together.depth[number], rtol=0.02)

    def test_in_the_best_order_rays_of_one_origin_are_together(self, splats: Gaussians):
        origins = torch.tensor([[0.0, 0, 1], [0, 0, 2], [0, 0, 1], [0, 0, 3], [0, 0, 2]])
        order = content_of(splats).best_order(RayBundle(origins, origins, torch.full((5, 1), 1e-5)))
        assert len(origins[order].unique_consecutive(dim=0)) == 3

    def test_before_nothing_there_is_the_background_and_no_depth(self, splats: Gaussians):
        directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(5, 3)
        look = content_of(splats).look(RayBundle(directions, directions, torch.full((5, 1), 1e-5)), Merging(1))
        assert torch.equal(look.rgb, BACKGROUND.expand(5, 3)) and (look.accumulation == 0).all() and (look.depth > 6).all()

    def test_rays_of_no_pixel_and_one_splat(self):
        splats = plain_gaussians(torch.zeros(1, 3), torch.full((1, 3), 0.3), torch.tensor([[1.0, 0, 0, 0]]),
                                 torch.tensor([0.9]), torch.tensor([[0.2, 0.4, 0.6]]))  # fmt: skip
        rays = RayBundle(torch.tensor([[0.0, 0, 3.0]]), torch.tensor([[0.0, 0, -1.0]]), torch.ones(1, 1))
        content = content_of(splats)
        look = content.look(rays, Merging(1, footprint_mult=0.5))
        assert look.depth.item() == pytest.approx(3.0, abs=1e-3) and look.accumulation.item() == pytest.approx(0.9, abs=1e-3)
        assert content.normals(torch.tensor([[0.0, 0.1, 0.2]])).isfinite().all()


class TestInARun:
    def test_a_file_in_the_datasets_coordinates_shows_the_photographs_and_is_painted(
        self, file: Path, splats: Gaussians, open_scene: Scene, tmp_path: Path
    ):
        trainer = train(small_config(open_scene, tmp_path, content_checkpoint=file, style_steps=3))
        model, data = trainer.pipeline.model, trainer.pipeline.datamanager
        model.eval()
        frames = {
            Path(each["file_path"]).name: each
            for each in json.loads((open_scene.folder / "transforms.json").read_text())["frames"]
        }
        for number, picture in enumerate(data.eval_dataset.image_filenames):
            seen = model.get_outputs_for_camera(data.eval_dataset.cameras[number : number + 1])
            pose = torch.tensor(frames[picture.name]["transform_matrix"])[:3]
            from_file = render(View(pose, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT), splats, torch.ones(3))
            photograph = data.eval_dataset.get_image_float32(number)
            assert float(peak_signal_noise_ratio(seen["content_rgb"], from_file, data_range=1.0)) > 30
            assert float(peak_signal_noise_ratio(seen["content_rgb"], photograph, data_range=1.0)) > 20
            assert (seen["rgb"] - seen["content_rgb"]).abs().mean() > 0.01
            rays = data.eval_dataset.cameras.generate_rays(camera_indices=number)
            assert ((2 * seen["normals"] - 1) * rays.directions).sum(-1).max() < 1e-3  # what is seen faces the camera
        number = model.config.num_points[0]
        assert number < model.config.num_points[1]
        assert model.look(data.train_ray_generator(torch.tensor([[0, 3, 5]]))).points.positions.shape[1] == number
        rays = data.train_ray_generator(torch.tensor([[0, 3, 5], [2, 9, 9], [0, 20, 20], [1, 30, 7]]))
        together, alone = model(rays), [model(rays[number : number + 1]) for number in range(4)]
        for name, values in together.items():
            assert torch.allclose(values, torch.cat([each[name] for each in alone]), rtol=0.06, atol=0.06), name
        saved = load_content(trainer.base_dir / "content.ckpt")
        assert saved.settings == SplatSettings(len(splats), 0)
        again = build_pipeline(small_config(open_scene, tmp_path, content_checkpoint=trainer.base_dir, style_steps=1))
        assert torch.equal(again.model.ray_content.means, model.ray_content.means)

    def test_the_run_is_exported_as_the_splats_it_was_given_painted(
        self, file: Path, splats: Gaussians, open_scene: Scene, tmp_path: Path
    ):
        trainer = train(small_config(open_scene, tmp_path, content_checkpoint=file, style_steps=3))
        shown = run_splats(trainer.base_dir / "config.yml")
        plain, painted = (shown.in_dataset(shown.painted(torch.tensor([strength]))) for strength in (0.0, 1.0))
        assert torch.allclose(plain.means, splats.means, atol=1e-4) and torch.allclose(plain.rgb, splats.rgb, atol=1e-4)
        assert torch.equal(painted.means, plain.means) and (painted.rgb - plain.rgb).abs().mean() > 0.01
        assert trainer.pipeline.kept_splats() is not None  # the page's switch

    def test_a_run_of_splatfacto_lies_where_its_own_parser_put_it(
        self, splats: Gaussians, open_scene: Scene, tmp_path: Path
    ):
        turn = torch.from_numpy(Rotation.from_rotvec([0.3, 1.0, -0.4]).as_matrix()).float()
        move, scale = torch.tensor([0.4, -1.0, 2.0]), 0.37
        random = torch.Generator().manual_seed(0)
        colored = Gaussians(**{**vars(splats), "harmonics": 0.2 * torch.randn(len(splats), 15, 3, generator=random)})
        folder = splatfacto_run(colored.mapped(turn, scale * move, scale), turn, move, scale, tmp_path)
        write_ply(tmp_path / "same.ply", colored)
        seen = []
        for given in (folder / "config.yml", tmp_path / "same.ply"):
            pipeline = build_pipeline(small_config(open_scene, tmp_path, content_checkpoint=given))
            pipeline.eval()
            seen.append(pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[:1])["content_rgb"])
        assert float(peak_signal_noise_ratio(*seen, data_range=1.0)) > 50

    def test_a_converters_line_is_given_for_what_is_not_read(self, open_scene: Scene, tmp_path: Path):
        (tmp_path / "scene.spz").write_bytes(b"123")
        with pytest.raises(ValueError, match=r"pipeline.content-checkpoint: \.spz is not read; make a \.ply of it: npx"):
            build_trainer(small_config(open_scene, tmp_path, content_checkpoint=tmp_path / "scene.spz"))

    def test_splats_that_no_camera_sees_are_refused(self, splats: Gaussians, open_scene: Scene, tmp_path: Path):
        write_ply(tmp_path / "far.ply", splats.mapped(torch.eye(3), torch.tensor([0.0, 500.0, 0.0]), 1.0))
        with pytest.raises(ValueError, match="pipeline.content-checkpoint: none of the training pictures shows a splat of"):
            build_trainer(small_config(open_scene, tmp_path, content_checkpoint=tmp_path / "far.ply"))

    def test_its_geometry_cannot_move(self, file: Path, open_scene: Scene, tmp_path: Path):
        with pytest.raises(
            ValueError, match="of the content .splats. none can be changed; use .*locked and --pipeline.content-style-mult 0"
        ):
            build_trainer(
                small_config(
                    open_scene, tmp_path, content_checkpoint=file, model__geometry="distilled", model__shading="full"
                )
            )

    @pytest.mark.parametrize("number", [0, 3])
    def test_without_a_file_there_are_none(self, number: int, open_scene: Scene, tmp_path: Path):
        text = "pipeline.model.content: splats have no file; give one, --pipeline.content-checkpoint scene.ply."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_trainer(small_config(open_scene, tmp_path, model__content=SplatSettings(number)))


def splatfacto_run(splats: Gaussians, turn: torch.Tensor, move: torch.Tensor, scale: float, tmp_path: Path) -> Path:
    """A folder as `ns-train splatfacto` leaves it."""
    config = copy.deepcopy(method_configs["splatfacto"])
    config.output_dir, config.timestamp, config.experiment_name = tmp_path / "theirs", "run", "scene"
    config.save_config()
    parameters = {
        "means": splats.means, "scales": splats.scales.log(), "quats": splats.rotations,
        "features_dc": (splats.rgb - 0.5) / CONSTANT, "features_rest": splats.harmonics,
        "opacities": splats.opacities.logit()[:, None],
    }  # fmt: skip
    folder = config.get_base_dir()
    (folder / "dataparser_transforms.json").write_text(
        f'{{"transform": {torch.cat([turn, move[:, None]], dim=1).tolist()}, "scale": {scale}}}'
    )
    config.get_checkpoint_dir().mkdir()
    state = {f"_model.gauss_params.{name}": value for name, value in parameters.items()}
    torch.save({"step": 7, "pipeline": state}, config.get_checkpoint_dir() / "step-000000007.ckpt")
    return folder


def test_the_coordinates_of_both_sides_are_undone():
    """p there is scale * transform(p of the dataset); the scene's are those of the host's parser here."""
    splats, random = some_splats(20), torch.Generator().manual_seed(0)
    turns = [torch.from_numpy(Rotation.from_rotvec(v).as_matrix()).float() for v in ([0.2, 1.0, 0.3], [-0.7, 0.1, 0.4])]
    moves = [torch.randn(3, generator=random) for _ in range(2)]
    there, here = (torch.cat([turn, move[:, None]], dim=1) for turn, move in zip(turns, moves, strict=True))
    checkpoint = SplatCheckpoint(splats.mapped(turns[0], 0.3 * moves[0], 0.3), 0.3, there, "the test")

    cameras = Cameras(torch.eye(4)[None, :3], 1.0, 1.0, 0.5, 0.5, 1, 1)
    outputs = DataparserOutputs([], cameras, dataparser_transform=here, dataparser_scale=1.7)
    content = content_of(splats)
    checkpoint.give_to(content, outputs)
    assert torch.allclose(content.means, 1.7 * (splats.means @ turns[1].T + moves[1]), atol=1e-4)
