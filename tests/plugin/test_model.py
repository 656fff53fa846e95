import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ins3d.plugin.model import over_background
from ins3d.plugin.rays.compositing import composite, expected_depth
from tests.plugin.tiny_scenes import psnr, rays_of

Make = Callable[..., Any]


def stir(model: Any, seed: int = 5, gates: tuple[float, float] | None = None) -> None:
    """Random style weights, so that a stylised picture differs visibly from the content."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in [*model.stylized.weights(), *model.stylized.planes()]:
            scale = 1.5 / max(parameter[0].numel(), 1) ** 0.5 if parameter.ndim == 2 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=random) * scale)
        if gates is not None:
            model.stylized.amalgamation.density_gate.fill_(gates[0])
            model.stylized.amalgamation.rgb_gate.fill_(gates[1])


def outputs_of(pipeline: Any, count: int = 64) -> dict[str, torch.Tensor]:
    pipeline.model.eval()
    with torch.no_grad():
        return pipeline.model(rays_of(pipeline, count))


class TestOutputs:
    def test_pictures_have_the_documented_names_shapes_and_ranges(self, trained_pipeline: Make):
        pipeline = trained_pipeline()
        pipeline.model.begin_style(content_moves=False)
        stir(pipeline.model)
        outputs = outputs_of(pipeline)
        shapes = {name: tuple(values.shape) for name, values in outputs.items()}
        assert shapes == {
            "rgb": (64, 3), "content_rgb": (64, 3), "depth": (64, 1), "content_depth": (64, 1), "accumulation": (64, 1),
            "normals": (64, 3),
        }  # fmt: skip
        for name in ("rgb", "content_rgb", "accumulation", "normals"):
            assert -1e-6 <= float(outputs[name].min()) and float(outputs[name].max()) <= 1 + 1e-5
        near, far = pipeline.model.ray_content.placement.near, pipeline.model.ray_content.placement.far
        assert bool((outputs["depth"] >= near).all() & (outputs["depth"] <= far).all())

    def test_before_the_style_stage_the_picture_is_the_content(self, trained_pipeline: Make):
        pipeline = trained_pipeline()
        stir(pipeline.model)
        outputs = outputs_of(pipeline)
        assert torch.equal(outputs["rgb"], outputs["content_rgb"])
        assert torch.equal(outputs["depth"], outputs["content_depth"])

    def test_the_content_has_learned_something_that_the_tests_can_stand_on(self, trained_pipeline: Make):
        pipeline = trained_pipeline()
        content_rgb = outputs_of(pipeline, 256)["content_rgb"]
        assert float(content_rgb.std(0).mean()) > 0.05

    def test_a_finished_run_differs_from_its_content(self, finished_run: Any):
        outputs = outputs_of(finished_run.pipeline)
        assert float((outputs["rgb"] - outputs["content_rgb"]).abs().mean()) > 1e-3

    def test_locked_depth_is_the_contents_to_the_last_bit(self, finished_run: Any):
        assert finished_run.pipeline.config.model.geometry == "locked"
        outputs = outputs_of(finished_run.pipeline)
        assert torch.equal(outputs["depth"], outputs["content_depth"])

    def test_free_geometry_moves_the_depth(self, trained_pipeline: Make):
        pipeline = trained_pipeline(model__geometry="free", model__shading="full")
        pipeline.model.begin_style(content_moves=False)
        stir(pipeline.model, gates=(0.2, 0.5))
        outputs = outputs_of(pipeline)
        assert not torch.allclose(outputs["depth"], outputs["content_depth"], rtol=1e-3)
        assert float((outputs["accumulation"] - 1).abs().max()) < 1e-5


class TestStylizeReturnsTheContent:
    @pytest.mark.parametrize("geometry", ["locked", "distilled", "free"])
    @pytest.mark.parametrize(("shading", "num_points"), [("deferred", 1), ("deferred", 2), ("deferred", 4), ("full", 1)])
    def test_at_gate_one(self, trained_pipeline: Make, shading: str, num_points: int, geometry: str):
        if (geometry, shading) == ("free", "deferred"):
            with pytest.raises(
                ValueError, match=r"^pipeline\.model\.geometry: free .* add --pipeline\.model\.shading full\.$"
            ):
                trained_pipeline(model__shading=shading, model__geometry=geometry)
            return
        pipeline = trained_pipeline(
            model__shading=shading, model__num_points=(2, num_points), model__geometry=geometry,
            model__style_field__color_gate=1.0,
        )  # fmt: skip
        stir(pipeline.model)
        pipeline.model.begin_style(content_moves=False)
        outputs = outputs_of(pipeline)
        assert float((outputs["rgb"] - outputs["content_rgb"]).abs().max()) < 1e-6
        assert torch.equal(outputs["depth"], outputs["content_depth"])

    @pytest.mark.parametrize("view_direction", [False, True])
    @pytest.mark.parametrize(("shading", "num_points"), [("deferred", 1), ("deferred", 4), ("full", 1)])
    def test_for_the_zero_code(self, trained_pipeline: Make, shading: str, num_points: int, view_direction: bool):
        pipeline = trained_pipeline(
            model__shading=shading, model__num_points=(2, num_points), model__geometry="distilled",
            model__style_field__view_direction=view_direction,
        )  # fmt: skip
        model = pipeline.model
        stir(model, gates=(0.3, 0.3))
        model.begin_style(content_moves=False)
        rays = rays_of(pipeline)
        with torch.no_grad():
            look = model.look(rays)
            stylized = model.stylize(look, rays, torch.zeros(1))
            full_strength = model.stylize(look, rays, torch.ones(1))
        assert float((stylized.rgb - look.rgb).abs().max()) < 1e-6
        assert torch.equal(stylized.look.weights, look.weights)
        assert float((full_strength.rgb - look.rgb).abs().max()) > 0.05


class TestDeferredShading:
    def test_more_points_come_closer_to_shading_every_sample(self, trained_pipeline: Make):
        pictures = {}
        for num_points in (1, 2, 4, 64, 0):
            pipeline = trained_pipeline(model__shading="deferred" if num_points else "full", model__spread_mult=0.0)
            # More than four points is no setting, but it is the limit in which both are the same.
            pipeline.model.config.num_points = (num_points, num_points)
            stir(pipeline.model, gates=(1.0, 0.5))
            pipeline.model.begin_style(content_moves=False)
            pictures[num_points] = outputs_of(pipeline, 400)["rgb"]
        quality = [psnr(pictures[num_points], pictures[0]) for num_points in (1, 2, 4, 64)]
        assert quality == sorted(quality), quality
        assert quality[0] > 20 and quality[-1] > 45, quality

    def test_at_every_sample_it_is_ordinary_volume_rendering(self, trained_pipeline: Make):
        pipeline = trained_pipeline(model__shading="full", model__style_field__view_direction=True)
        model = pipeline.model
        stir(model, gates=(1.0, 0.97))  # mildly: what is outside [0, 1] is squeezed after compositing
        model.begin_style(content_moves=False)
        rays = rays_of(pipeline)
        look = model.look(rays)  # with gradients: without them, products are rounded
        stylized = model.stylize(look, rays, torch.ones(1))
        told = model.told(look.points, model.plain_rgb(look.points, rays))
        expected = composite(model.styled_rgb(told, rays, torch.ones(1)), look.weights, model.background)
        assert torch.allclose(stylized.rgb, expected, atol=1e-5)

    def test_the_style_does_not_depend_on_the_view_when_the_direction_is_zero(self, trained_pipeline: Make):
        for view_direction in (True, False):
            pipeline = trained_pipeline(model__style_field__view_direction=view_direction)
            model = pipeline.model
            stir(model, gates=(1.0, 0.3))
            rays = rays_of(pipeline)
            with torch.no_grad():
                points = model.look(rays).points
                turned = copy.deepcopy(rays)
                turned.directions = -rays.directions
                seen = [(model.told(points, model.plain_rgb(points, each)), each) for each in (rays, turned)]
                colors = [model.styled_rgb(told, each, torch.ones(1)) for told, each in seen]
            assert torch.equal(*colors) != view_direction


class TestFootprint:
    @pytest.mark.parametrize("shading", ["deferred", "full"])
    def test_strokes_are_averaged_over_more_the_larger_pixels_are(self, trained_pipeline: Make, shading: str):
        pipeline = trained_pipeline(model__shading=shading, model__spread_mult=0.0, model__footprint_mult=0.5)
        model, camera = pipeline.model.eval(), copy.deepcopy(pipeline.datamanager.train_dataset.cameras[0:1])
        rays = camera.generate_rays(0, coords=torch.tensor([[3.5, 3.5], [7.5, 9.5]]))
        spreads = []
        with torch.no_grad():
            for _ in range(2):
                spreads.append(model.look(rays).points.spread)
                widths = model.ray_content.footprint(model.ray_content.sample(rays)[0])
                assert 0.499 * widths.min() < spreads[-1].min() and spreads[-1].max() < 0.501 * widths.max()
                rays.pixel_area = 16 * rays.pixel_area
        assert float(spreads[0].min()) > 0
        torch.testing.assert_close(spreads[1], 4 * spreads[0])


class TestContentStage:
    def test_the_chosen_share_of_rays_is_shown_no_direction(self, trained_pipeline: Make):
        pipeline = trained_pipeline(model__view_dropout=0.25)
        content = pipeline.model.ray_content.eval()  # without jitter, both times the same samples
        rays = rays_of(pipeline, 40)
        along = content(rays)
        turned = copy.deepcopy(rays)
        turned.directions = -rays.directions
        content.forward = lambda _: along  # seen from elsewhere, at the same places
        with torch.no_grad():
            before, after = (content.training_outputs(bundle, 0.25)["rgb"] for bundle in (rays, turned))
        assert torch.equal(before[:10], after[:10])
        assert bool((before[10:] != after[10:]).any(-1).all())

    def test_losses_are_weighted_by_their_settings(self, trained_pipeline: Make):
        pipeline = trained_pipeline(
            model__interlevel_loss_mult=0.0,
            model__distortion_loss_mult=0.0,
            model__view_dropout=0.0,
        )
        model = pipeline.model.train()
        rays, batch = pipeline.datamanager.next_train(0)
        outputs = model(rays)
        losses = model.get_loss_dict(outputs, batch)
        assert losses.keys() == {"rgb_loss", "interlevel_loss", "distortion_loss"}
        error = ((outputs["rgb"] - batch["image"]) ** 2).mean()
        assert float(losses["rgb_loss"]) == pytest.approx(float(error))
        assert float(losses["interlevel_loss"]) == float(losses["distortion_loss"]) == 0
        # PSNR = -10 log10 of the mean squared error.
        assert 10 ** (-float(model.get_metrics_dict(outputs, batch)["psnr"]) / 10) == pytest.approx(float(error), rel=1e-4)

    def test_every_parameter_is_in_exactly_one_group(self, trained_pipeline: Make):
        model = trained_pipeline().model
        groups = model.get_param_groups()
        assert groups.keys() == {"content_tables", "content", "proposals", "style_planes", "style", "gates"}
        listed = [id(parameter) for parameters in groups.values() for parameter in parameters]
        assert len(listed) == len(set(listed))
        # The host has one that only shows the device.
        assert set(listed) == {id(p) for name, p in model.named_parameters() if name != "device_indicator_param"}


class TestBeginStyle:
    def test_the_content_is_frozen_and_stays_without_jitter(self, trained_pipeline: Make):
        model = trained_pipeline().model
        model.begin_style(content_moves=False)
        model.train()
        assert not any(parameter.requires_grad for parameter in model.ray_content.parameters())
        assert not model.ray_content.training and not model.ray_content.sampler.training
        assert model.training and model.stylized.training and model.teacher is None
        assert all(parameter.requires_grad for parameter in model.stylized.parameters())

    def test_content_that_goes_on_learning_leaves_a_teacher_behind(self, trained_pipeline: Make):
        model = trained_pipeline(model__geometry="distilled", content_style_mult=0.1).model
        model.begin_style(content_moves=True)
        model.train()
        assert all(parameter.requires_grad for parameter in model.ray_content.content.parameters())
        assert not any(parameter.requires_grad for parameter in model.ray_content.proposals.parameters())
        positions, before = torch.rand(20, 3), model.teacher(torch.zeros(20, 3))
        assert not model.teacher(positions).requires_grad
        with torch.no_grad():
            for parameter in model.ray_content.content.parameters():
                parameter += 1
        assert torch.equal(model.teacher(torch.zeros(20, 3)), before)
        assert not any("teacher" in name for name in model.state_dict())


class TestPieces:
    def test_depth_is_the_weighted_middle_of_the_samples_and_beyond_for_an_empty_ray(self, trained_pipeline: Make):
        rays = rays_of(trained_pipeline(), 2)
        edges = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1).expand(2, -1, -1)
        samples = rays.get_ray_samples(bin_starts=edges[:, :-1], bin_ends=edges[:, 1:])
        weights = torch.tensor([[[0.25], [0.25]], [[0.0], [0.0]]])
        # Middles 1.5 and 3: (0.25 * 1.5 + 0.25 * 3) / 0.5 = 2.25.
        assert expected_depth(samples, weights, torch.tensor(9.0)).tolist() == [[2.25], [9.0]]

    def test_alpha_lays_a_picture_over_its_background(self):
        rgba = torch.tensor([[0.5, 1.0, 0.0, 0.25]])
        # 0.25 * rgb + 0.75 * background.
        assert over_background(rgba, torch.tensor([1.0, 0.0, 0.0])).tolist() == [[0.875, 0.25, 0.0]]
        assert over_background(rgba[:, :3], torch.ones(3)).tolist() == [[0.5, 1.0, 0.0]]


class TestStrictLoading:
    @pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
    def test_a_state_that_does_not_fit_is_refused_whole(self, trained_pipeline: Make, fault: str):
        pipeline = trained_pipeline()
        before = copy.deepcopy(pipeline.state_dict())
        state = {key: value + 1 if value.is_floating_point() else value for key, value in before.items()}
        key = "_model.stylized.style_features.layers.0.weight"
        if fault == "missing":
            del state[key]
        elif fault == "unknown":
            key = "_model.stylized.surprise"
            state[key] = torch.zeros(1)
        else:
            state[key] = torch.zeros(3, 3)
        counts = {name: int(name == fault) for name in ("missing", "unknown", "shape")}
        text = (
            f"the checkpoint does not fit: {counts['missing']} parameters missing, {counts['unknown']} unknown, "
            f"{counts['shape']} of another shape (the first: {key}); it was made with other settings of content or style: "
            "use the same ones."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            pipeline.load_pipeline(state, 0)
        assert all(torch.equal(value, before[name]) for name, value in pipeline.state_dict().items())

    def test_a_tinycudann_state_is_named_as_such(self, trained_pipeline: Make):
        pipeline = trained_pipeline()
        state = {**pipeline.state_dict(), "_model.ray_content.content.field.mlp_base.tcnn_encoding.params": torch.zeros(1)}
        with pytest.raises(ValueError, match="one was made with tinycudann and the other without: open it where tinycudann"):
            pipeline.load_pipeline(state, 0)
