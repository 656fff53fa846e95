"""Whole runs through the host's trainer: both stages, resumption, and what happens when something goes wrong."""

import copy
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import pytest
import torch
import yaml
from nerfstudio.cameras.camera_paths import get_path_from_json
from nerfstudio.utils.eval_utils import eval_setup
from nerfstudio.utils.rich_utils import CONSOLE

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.content_checkpoint import load_content
from ins3d.plugin.style_field import FrequencyStyle, PlanesStyle
from ins3d.style.mix import Mix, write_mix
from ins3d.style.targets import StyleView
from tests.plugin.tiny_scenes import HEIGHT, WIDTH, Scene, build_trainer, small_config, small_content, train

CONTENT_STEPS, STYLE_STEPS = 13, 8


def parameters_of(trainer: Any) -> dict[str, torch.Tensor]:
    return copy.deepcopy(trainer.pipeline.state_dict())


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], tolerance: float) -> None:
    assert first.keys() == second.keys()
    for name in first:
        # The host's device_indicator_param holds nothing.
        difference = float((first[name].double() - second[name].double()).abs().sum())
        assert difference <= tolerance, f"{name} differs by {difference}"


def checkpoints_of(trainer: Any) -> list[str]:
    return sorted(file.name for file in trainer.checkpoint_dir.iterdir())


class TestBothStages:
    def test_a_run_leaves_its_content_its_preview_and_one_checkpoint(self, finished_run: Any):
        files = {file.name for file in finished_run.base_dir.iterdir()}
        assert {"config.yml", "content.ckpt", "preview.png", "dataparser_transforms.json", "nerfstudio_models"} <= files
        assert checkpoints_of(finished_run) == ["step-000000189.ckpt"]
        assert not [name for name in files if ".writing" in name or name.endswith(".bin")]
        assert imageio.imread(finished_run.base_dir / "preview.png").shape == (HEIGHT, 4 * WIDTH, 3)
        assert bool(finished_run.pipeline.model.is_stylized)

    def test_the_content_stage_learns_the_scene(self, finished_run: Any):
        """PSNR of a held-out view: well above the 16 dB or so of a single colour."""
        finished_run.pipeline.eval()
        metrics, _ = finished_run.pipeline.get_eval_image_metrics_and_images(0)
        assert metrics["psnr"] > 16.5

    def test_the_checkpoint_opens_as_ns_eval_and_ns_render_open_it_and_renders(self, finished_run: Any):
        config, pipeline, path, step = eval_setup(finished_run.base_dir / "config.yml", test_mode="test")
        assert step == 189 and path.name == "step-000000189.ckpt"
        assert_same(pipeline.state_dict(), finished_run.pipeline.state_dict(), 0)
        camera = pipeline.datamanager.eval_dataset.cameras[0:1]
        outputs = pipeline.model.get_outputs_for_camera(camera)
        assert outputs["rgb"].shape == (HEIGHT, WIDTH, 3) and outputs["depth"].shape == (HEIGHT, WIDTH, 1)
        finished_run.pipeline.eval()
        assert torch.equal(outputs["rgb"], finished_run.pipeline.model.get_outputs_for_camera(camera)["rgb"])

    def test_the_checkpoint_opens_without_any_data_in_memory(self, finished_run: Any):
        """`ns-render` and `ns-viewer` use test_mode inference."""
        _, pipeline, _, _ = eval_setup(finished_run.base_dir / "config.yml", test_mode="inference")
        assert bool(pipeline.model.is_stylized)

    def test_an_object_with_alpha_goes_through_both_stages(self, object_scene: Scene, tmp_path: Path):
        trainer = train(small_config(object_scene, tmp_path))
        assert checkpoints_of(trainer) == ["step-000000029.ckpt"]
        assert bool(trainer.pipeline.model.ray_content.placement.bounded)
        _, pipeline, _, _ = eval_setup(trainer.base_dir / "config.yml", test_mode="test")
        outputs = pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[0:1])
        # A ray that misses the ball sees the background, white.
        assert outputs["rgb"][0, 0].tolist() == pytest.approx([1, 1, 1], abs=0.1)

    def test_an_open_scene_is_measured_when_no_place_is_given(self, open_scene: Scene, tmp_path: Path):
        unplaced = {f"model__{name}": None for name in ("near", "far", "center", "radius")}
        trainer = train(small_config(open_scene, tmp_path, content_steps=3, style_steps=2, **unplaced))
        placement = trainer.pipeline.model.ray_content.placement
        assert not bool(placement.bounded) and 0 < float(placement.near) < float(placement.far)

    def test_one_of_the_four_places_may_be_given(self, open_scene: Scene, tmp_path: Path):
        config = small_config(
            open_scene, tmp_path, model__center=None, model__radius=None, model__far=None, model__near=0.123
        )
        placement = build_trainer(config).pipeline.model.ray_content.placement
        assert float(placement.near) == pytest.approx(0.123) and float(placement.radius) != pytest.approx(2.2, abs=1e-4)

    @pytest.mark.parametrize("kind", ["hash", "frequency"])
    def test_the_other_content_fields_go_through_both_stages(self, open_scene: Scene, tmp_path: Path, kind: str):
        config = small_config(
            open_scene, tmp_path, model__content=small_content(kind), content_steps=3, style_steps=2,
            model__style_field=(
                FrequencyStyle(width=16) if kind == "frequency" else PlanesStyle(16, resolutions=(16, 32), channels=4)
            ),
        )  # fmt: skip
        trainer = train(config)
        _, pipeline, _, _ = eval_setup(trainer.base_dir / "config.yml", test_mode="test")
        assert_same(pipeline.state_dict(), trainer.pipeline.state_dict(), 0)

    def test_the_papers_method_goes_through_both_stages(self, open_scene: Scene, tmp_path: Path):
        from ins3d.plugin.methods import ins_stylize_paper
        from ins3d.plugin.ray_content import FrequencySettings

        config = small_config(open_scene, tmp_path, content_steps=2, style_steps=2, content_style_mult=0.1)
        paper = copy.deepcopy(ins_stylize_paper.config)
        config.optimizers = paper.optimizers
        small, model = config.pipeline.model, paper.pipeline.model
        model.perceptual_encoder = "auto"  # the weights at hand are no VGG-16
        for name in ("perceptual_weights", "style_layers", "content_layers", "styles", "near", "far", "center", "radius"):
            setattr(model, name, getattr(small, name))
        model.content, model.style_field.width = FrequencySettings(num_coarse_samples=8, num_samples=8), 16
        config.pipeline.model = model
        trainer = train(config)
        assert checkpoints_of(trainer) == ["step-000000003.ckpt"]


class TestSeveralStyles:
    @pytest.fixture(scope="class")
    def styles(self, open_scene: Scene, tmp_path_factory: Any) -> Path:
        """A folder of two pictures."""
        folder = tmp_path_factory.mktemp("styles")
        picture = imageio.imread(open_scene.folder.parent / "style.png")
        imageio.imwrite(folder / "first.png", picture)
        imageio.imwrite(folder / "second.png", picture[:, ::-1, ::-1])
        return folder

    @pytest.fixture(scope="class")
    def run(self, open_scene: Scene, styles: Path, tmp_path_factory: Any) -> Any:
        folder = tmp_path_factory.mktemp("two_styles")
        return train(small_config(open_scene, folder, content_steps=3, style_steps=8, model__styles=(str(styles),)))

    def test_a_folder_of_two_trains_one_network_by_their_names(self, run: Any):
        assert run.pipeline.style.names == ("first", "second")
        assert run.pipeline.style_steps == 12  # 8 * 1.45, rounded
        assert imageio.imread(run.base_dir / "preview.png").shape == (2 * HEIGHT, 4 * WIDTH, 3)
        contents = torch.load(run.checkpoint_dir / "step-000000014.ckpt", weights_only=True)
        assert contents["styles"] == ["first", "second"]

    def test_the_saved_mix_is_what_ns_render_renders(self, run: Any):
        camera = run.pipeline.datamanager.eval_dataset.cameras[:1]
        _, plain, _, _ = eval_setup(run.base_dir / "config.yml", test_mode="inference")
        assert plain.model.controls.code().tolist() == [1, 0]
        mix = Mix((1.0, 3.0), 0.5)
        write_mix(run.base_dir / "style_mix.json", mix, ("first", "second"))
        try:
            _, mixed, _, _ = eval_setup(run.base_dir / "config.yml", test_mode="inference")
        finally:
            (run.base_dir / "style_mix.json").unlink()
        rendered = mixed.model.get_outputs_for_camera(camera)["rgb"].permute(2, 0, 1)
        torch.testing.assert_close(rendered, render_codes(plain.model, camera, mix.code()[None]).rgb[0])

    def test_the_time_of_a_keyframe_chooses_the_style(self, run: Any):
        _, pipeline, _, _ = eval_setup(run.base_dir / "config.yml", test_mode="inference")
        assert pipeline.datamanager.includes_time
        camera = pipeline.datamanager.eval_dataset.cameras[:1]
        expected = render_codes(pipeline.model, camera, torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])).rgb
        for time, picture in zip((0.5, 0.75, 1.0), expected, strict=True):
            camera.times = torch.tensor([[time]])
            rendered = pipeline.model.get_outputs_for_camera(camera)["rgb"]
            torch.testing.assert_close(rendered.permute(2, 0, 1), picture)

    def test_resuming_with_other_styles_is_refused(self, run: Any, styles: Path, open_scene: Scene, tmp_path: Path):
        turned = (str(styles / "second.png"), str(styles / "first.png"))
        config = small_config(
            open_scene, tmp_path, content_steps=3, style_steps=8, model__styles=turned, load_dir=run.checkpoint_dir
        )
        with pytest.raises(ValueError, match="was made with first, second, not second, first; resume it with the same"):
            build_trainer(config)

    def test_resuming_with_one_style_fewer_is_refused_by_name(
        self, run: Any, styles: Path, open_scene: Scene, tmp_path: Path
    ):
        one = (str(styles / "first.png"),)
        config = small_config(open_scene, tmp_path, model__styles=one, load_dir=run.checkpoint_dir)
        with pytest.raises(ValueError, match="was made with first, second, not first; resume it with the same"):
            build_trainer(config)

    def test_a_resumed_run_takes_the_saved_mix_along(self, run: Any, styles: Path, open_scene: Scene, tmp_path: Path):
        write_mix(run.base_dir / "style_mix.json", Mix((1.0, 3.0), 0.5), ("first", "second"))
        config = small_config(
            open_scene, tmp_path, content_steps=3, style_steps=8, model__styles=(str(styles),), load_dir=run.checkpoint_dir
        )
        try:
            resumed = build_trainer(config)
        finally:
            (run.base_dir / "style_mix.json").unlink()
        assert resumed.pipeline.style.code().tolist() == [0.125, 0.375]
        assert (resumed.base_dir / "style_mix.json").is_file()

    def test_a_camera_path_of_the_viewer_walks_along_the_styles(self, run: Any):
        _, pipeline, _, _ = eval_setup(run.base_dir / "config.yml", test_mode="inference")
        pose = torch.eye(4)
        pose[:3] = pipeline.datamanager.eval_dataset.cameras.camera_to_worlds[0]
        keyframes = [
            {"camera_to_world": pose.flatten().tolist(), "fov": 50, "aspect": 1.2, "render_time": time}
            for time in (0.5, 0.75, 1.0)
        ]
        cameras = get_path_from_json(
            {"camera_type": "perspective", "render_height": 20, "render_width": 24, "camera_path": keyframes}
        )
        codes = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        for index, code in enumerate(codes):
            rendered = pipeline.model.get_outputs_for_camera(cameras[index : index + 1])["rgb"].permute(2, 0, 1)
            torch.testing.assert_close(rendered, render_codes(pipeline.model, cameras[index : index + 1], code[None]).rgb[0])

    def test_rays_for_an_export_need_no_pictures_in_memory(self, run: Any):
        _, pipeline, _, _ = eval_setup(run.base_dir / "config.yml", test_mode="test")
        pipeline.datamanager.train_pixel_sampler.num_rays_per_batch = 500
        rays, batch = pipeline.datamanager.next_train(0)
        assert rays.shape == (500,) and batch == {}
        assert len(rays.camera_indices.unique()) == len(pipeline.datamanager.train_dataset)
        outputs = pipeline.model(rays)
        rgba = pipeline.model.get_rgba_image(outputs)
        assert rgba.shape == (500, 4)
        background = pipeline.model.background
        torch.testing.assert_close(rgba[:, :3] * rgba[:, 3:] + (1 - rgba[:, 3:]) * background, outputs["rgb"])


class TestResume:
    """A run that was stopped and resumed ends where an undisturbed one does."""

    EDITS: dict[str, dict[str, Any]] = {
        "locked": {},
        "moving": {"model__geometry": "distilled", "content_style_mult": 0.1},
        "full": {"model__shading": "full", "patches__strides": (1, 2)},
        "two styles": {
            "model__styles": "both",
            "model__partial_share": 0.5,
            "model__blend_share": 0.5,
        },
    }

    def config(self, scene: Scene, folder: Path, kind: str, **more: Any) -> Any:
        config = small_config(
            scene, folder, content_steps=CONTENT_STEPS, style_steps=STYLE_STEPS, **self.EDITS[kind], **more
        )
        if config.pipeline.model.styles == "both":
            second = scene.folder.parent / "turned.png"
            imageio.imwrite(second, imageio.imread(scene.folder.parent / "style.png")[::-1])
            config.pipeline.model.styles = (str(scene.folder.parent / "style.png"), str(second))
        return config

    @pytest.fixture(scope="class")
    def undisturbed(self, open_scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
        """(trainer, parameters) of whole runs that kept every checkpoint."""
        runs = {}
        for kind in self.EDITS:
            folder = tmp_path_factory.mktemp(f"undisturbed_{kind}")
            trainer = train(self.config(open_scene, folder, kind, save_only_latest_checkpoint=False, steps_per_save=1))
            runs[kind] = (trainer, parameters_of(trainer))
        return runs

    @staticmethod
    def stopped_after(trainer: Any, num_steps: int, folder: Path) -> Path:
        """What the run's folder held when it had made so many steps."""
        models = folder / "stopped" / "nerfstudio_models"
        models.mkdir(parents=True)
        shutil.copy(trainer.checkpoint_dir / f"step-{num_steps - 1:09d}.ckpt", models)
        if num_steps > CONTENT_STEPS:
            shutil.copy(trainer.base_dir / "content.ckpt", models.parent)
        return models

    @pytest.mark.parametrize("kind", ["locked", "moving", "full", "two styles"])
    @pytest.mark.parametrize("num_steps", [5, 12, 13, 14, 18, 20])
    def test_it_ends_where_the_undisturbed_run_does(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path, num_steps: int, kind: str
    ):
        whole, expected = undisturbed[kind]
        models = self.stopped_after(whole, num_steps, tmp_path)
        # Another seed: nothing may depend on what the new process draws before it loads.
        resumed = train(self.config(open_scene, tmp_path, kind, load_dir=models), seed=99)
        assert_same(parameters_of(resumed), expected, 1e-5)
        assert checkpoints_of(resumed) == [f"step-{whole.total_steps - 1:09d}.ckpt"]
        assert (resumed.base_dir / "content.ckpt").is_file()

    def test_a_run_that_was_resumed_may_be_resumed_again(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path
    ):
        whole, expected = undisturbed["moving"]
        models = self.stopped_after(whole, 15, tmp_path)
        config = self.config(
            open_scene, tmp_path, "moving", load_dir=models, steps_per_save=1, save_only_latest_checkpoint=False
        )
        once = train(config, seed=98)
        again = tmp_path / "again" / "nerfstudio_models"
        again.mkdir(parents=True)
        shutil.copy(once.checkpoint_dir / "step-000000017.ckpt", again)
        shutil.copy(once.base_dir / "content.ckpt", again.parent)
        twice = train(self.config(open_scene, tmp_path / "twice", "moving", load_dir=again), seed=97)
        assert_same(parameters_of(twice), expected, 1e-5)

    def test_a_single_checkpoint_may_be_named(self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path):
        whole, expected = undisturbed["locked"]
        models = self.stopped_after(whole, 15, tmp_path)
        config = self.config(open_scene, tmp_path, "locked", load_checkpoint=models / "step-000000014.ckpt")
        assert_same(parameters_of(train(config, seed=96)), expected, 1e-5)

    def test_a_finished_run_does_nothing(self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path):
        whole, expected = undisturbed["locked"]
        models = self.stopped_after(whole, CONTENT_STEPS + STYLE_STEPS, tmp_path)
        with CONSOLE.capture() as said:
            resumed = train(self.config(open_scene, tmp_path, "locked", load_dir=models), seed=95)
        assert f"Nothing left to do: all {CONTENT_STEPS + STYLE_STEPS} steps are done." in " ".join(said.get().split())
        assert_same(parameters_of(resumed), expected, 0)
        assert not resumed.checkpoint_dir.exists()

    def test_longer_stages_continue_a_finished_run(self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path):
        whole, _ = undisturbed["locked"]
        models = self.stopped_after(whole, CONTENT_STEPS + STYLE_STEPS, tmp_path)
        config = self.config(open_scene, tmp_path, "locked", load_dir=models)
        config.pipeline.style_steps = STYLE_STEPS + 3
        assert checkpoints_of(train(config)) == [f"step-{CONTENT_STEPS + STYLE_STEPS + 2:09d}.ckpt"]

    def test_a_finished_run_goes_on_from_the_maps_its_strokes_were_learned_under(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path
    ):
        whole, finished = undisturbed["locked"]
        maps, trained = (finished[f"_model.colors.{name}"] for name in ("maps", "trained"))
        assert not torch.equal(maps, trained)
        models = self.stopped_after(whole, CONTENT_STEPS + STYLE_STEPS, tmp_path)
        config = self.config(open_scene, tmp_path, "locked", load_dir=models)
        config.pipeline.style_steps = STYLE_STEPS + 3
        trainer = build_trainer(config)
        colors = trainer.pipeline.model.colors
        assert torch.equal(colors.maps, maps)
        trainer.pipeline.train()
        trainer.train_iteration(CONTENT_STEPS + STYLE_STEPS)
        assert torch.equal(colors.maps, trained) and torch.equal(colors.trained, trained)

    def test_a_run_in_two_pieces_ends_where_one_of_the_same_length_does(self, open_scene: Scene, tmp_path: Path):
        """But for what the length itself decides: the rates' decay, and how many rays are kept."""

        def config(name: str, style_steps: int, **more: Any) -> Any:
            made = self.config(open_scene, tmp_path / name, "locked", **more)
            for group in made.optimizers.values():
                group["scheduler"].final = 1.0
            made.pipeline.style_steps, made.pipeline.patches.max_rays = style_steps, 600
            return made

        first = train(config("first", 8))
        last = train(config("last", 12, load_dir=first.checkpoint_dir), seed=93)
        whole = train(config("whole", 12))
        assert_same(parameters_of(last), parameters_of(whole), 1e-5)

    @pytest.mark.parametrize(
        ("edits", "setting", "before", "now"),
        [
            ({"model__style_loss": ("gram", "swd")}, "style-loss, content-weight and tv-weight",
             "content_loss gram_loss", "content_loss gram_loss swd_loss"),
            ({"model__style_layers": ("relu1_2",)}, "style-layers", "relu1_2 relu2_2", "relu1_2"),
            ({"model__style_scales": (1, 2)}, "style-scales", "1", "1 2"),
            ({"model__style_size": 48}, "style-size", "56", "48"),
            ({"model__colors": "none"}, "colors", "style", "none"),
            ({"model__content_layers": ("relu1_2",)}, "content-layers", "relu2_2", "relu1_2"),
            ({"model__perceptual_pooling": "max"}, "perceptual-pooling", "average", "max"),
        ],
        ids=["loss", "layers", "scales", "size", "colors", "content layers", "pooling"],
    )  # fmt: skip
    def test_losses_that_are_measured_otherwise_are_refused_by_name(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path, edits: dict[str, Any], setting: str,
        before: str, now: str,
    ):  # fmt: skip
        models = self.stopped_after(undisturbed["locked"][0], 18, tmp_path)
        config = small_config(
            open_scene, tmp_path, content_steps=CONTENT_STEPS, style_steps=STYLE_STEPS, load_dir=models, **edits
        )
        text = (
            f"pipeline.model.{setting}: this run's losses were normalised with {before!r}, and now it is {now!r}; "
            "resume it with the settings in its config.yml and the same weights."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_trainer(config)

    def test_another_encoder_is_refused_by_name(self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path):
        models = self.stopped_after(undisturbed["locked"][0], 18, tmp_path)
        config = self.config(open_scene, tmp_path, "locked", load_dir=models)
        config.pipeline.model.perceptual_weights, config.pipeline.model.perceptual_encoder = None, "compact"
        config.pipeline.model.perceptual_pooling = "average"
        said = r"^pipeline\.model\.perceptual-encoder: this run's losses were normalised with 'vgg19.*', and now it is 'comp"
        with pytest.raises(ValueError, match=said):
            build_trainer(config)

    def test_another_way_to_look_at_styles_changes_what_is_compared_of_nothing_else(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path
    ):
        """Settings are compared one by one: a field more in a later version refuses no run of before."""

        @dataclass(frozen=True)
        class LaterView(StyleView):
            sharpened: bool = False

        objective = undisturbed["locked"][0].pipeline.objective
        later = replace(objective, view=LaterView(**vars(objective.view)))
        assert later.judged_by == objective.judged_by
        models = self.stopped_after(undisturbed["locked"][0], 18, tmp_path)
        (path,) = models.iterdir()
        saved = torch.load(path, weights_only=True)
        del saved["judged_by"]["style-scales"]  # as if nothing had been said of it
        torch.save(saved, path)
        assert build_trainer(self.config(open_scene, tmp_path, "locked", load_dir=models))._start_step == 18

    def test_before_its_style_stage_a_run_may_have_other_losses(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path
    ):
        models = self.stopped_after(undisturbed["locked"][0], 5, tmp_path)
        others = {"model__style_size": 48, "model__style_loss": ("gram_bold", "nnfm:0.3", "coherence:2")}
        config = self.config(open_scene, tmp_path, "locked", load_dir=models, **others)
        trainer = build_trainer(config)
        assert trainer._start_step == 5 and trainer.pipeline.model.loss_normalisers.tolist() == [[1.0] * 4]

    def test_other_settings_than_the_checkpoints_are_refused_by_name(
        self, undisturbed: dict[str, Any], open_scene: Scene, tmp_path: Path
    ):
        models = self.stopped_after(undisturbed["locked"][0], 5, tmp_path)
        config = self.config(open_scene, tmp_path, "locked", load_dir=models)
        config.pipeline.model.style_field.width = 12
        text = (
            r"^the checkpoint does not fit: 0 parameters missing, 0 unknown, \d+ of another shape \(the first: "
            r"_model\.stylized\..+\); it was made with other settings of content or style: use the same ones\.$"
        )
        with pytest.raises(ValueError, match=text):
            build_trainer(config)


class TestContentFromAnotherRun:
    @pytest.mark.parametrize("given", ["content.ckpt", "", "config.yml"])
    def test_a_second_style_costs_the_style_stage_only(
        self, finished_run: Any, open_scene: Scene, tmp_path: Path, given: str
    ):
        config = small_config(open_scene, tmp_path, content_checkpoint=finished_run.base_dir / given, style_steps=4)
        # The sizes of the content come with it.
        config.pipeline.model.content.channels = 7
        trainer = train(config)
        assert checkpoints_of(trainer) == ["step-000000003.ckpt"]
        content = finished_run.pipeline.model.ray_content.state_dict()
        assert_same(trainer.pipeline.model.ray_content.state_dict(), content, 0)
        # It stands on its own: its folder holds the content, and opens.
        assert_same(load_content(trainer.base_dir).state, content, 0)
        _, pipeline, _, _ = eval_setup(trainer.base_dir / "config.yml", test_mode="test")
        assert_same(pipeline.state_dict(), trainer.pipeline.state_dict(), 0)

    def test_the_second_style_may_be_resumed(self, finished_run: Any, open_scene: Scene, tmp_path: Path):
        def config(name: str, **more: Any) -> Any:
            content = finished_run.base_dir / "content.ckpt"
            return small_config(open_scene, tmp_path / name, content_checkpoint=content, style_steps=6, **more)

        whole = train(config("whole", save_only_latest_checkpoint=False, steps_per_save=1))
        models = tmp_path / "stopped" / "nerfstudio_models"
        models.mkdir(parents=True)
        shutil.copy(whole.checkpoint_dir / "step-000000002.ckpt", models)
        shutil.copy(whole.base_dir / "content.ckpt", models.parent)
        resumed = train(config("resumed", load_dir=models), seed=94)
        assert_same(parameters_of(resumed), parameters_of(whole), 1e-5)

    def test_its_run_opens_when_the_first_run_is_gone(self, finished_run: Any, open_scene: Scene, tmp_path: Path):
        shutil.copy(finished_run.base_dir / "content.ckpt", tmp_path / "content.ckpt")
        trainer = train(small_config(open_scene, tmp_path, content_checkpoint=tmp_path / "content.ckpt", style_steps=2))
        (tmp_path / "content.ckpt").unlink()
        for mode in ("test", "inference"):
            _, pipeline, _, _ = eval_setup(trainer.base_dir / "config.yml", test_mode=mode)
            assert bool(pipeline.model.is_stylized)

    def test_content_of_another_scene_is_refused(self, finished_run: Any, object_scene: Scene, tmp_path: Path):
        path = finished_run.base_dir / "content.ckpt"
        scale = load_content(path).scale
        text = (
            f"pipeline.content-checkpoint: {path} was trained on another scene or with other dataparser settings (scale "
            f"{scale:.4g}, here 1); use the same data and its options."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_trainer(small_config(object_scene, tmp_path, content_checkpoint=path))


class TestFaults:
    @pytest.mark.parametrize("steps_per_save", [19, 10], ids=["saved a step before the fault", "saved at the fault"])
    def test_a_loss_that_is_no_number_stops_the_run_and_the_saved_checkpoint_is_good(
        self, open_scene: Scene, tmp_path: Path, steps_per_save: int
    ):
        """A gradient that is no number, in the first style step (20), spoils the parameters; the next loss shows it."""
        trainer = build_trainer(small_config(open_scene, tmp_path, steps_per_save=steps_per_save))
        trainer.pipeline.model.stylized.amalgamation.rgb_gate.register_hook(lambda gradient: gradient * torch.nan)
        said = {
            19: r"content_loss became nan at step 21;",
            10: r"_model\.\S+ is not finite after step 20; nothing was saved, and",
        }
        text = (
            rf"^{said[steps_per_save]} a checkpoint saved before is good: resume from it with --load-dir and "
            r"lower the learning rate of the stage\.$"
        )
        with pytest.raises(FloatingPointError, match=text):
            trainer.train()
        for name in checkpoints_of(trainer):
            state = torch.load(trainer.checkpoint_dir / name, weights_only=True)["pipeline"]
            assert not [key for key, value in state.items() if not bool(torch.isfinite(value).all())], name

    def test_an_interrupted_save_leaves_the_old_checkpoint_alone_in_its_folder(
        self, open_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        trainer = build_trainer(small_config(open_scene, tmp_path))
        for step in range(3):
            trainer.pipeline.train()
            trainer.train_iteration(step)
        trainer.save_checkpoint(2)
        before = (trainer.checkpoint_dir / "step-000000002.ckpt").read_bytes()

        def half(contents: Any, path: Path) -> None:
            path.write_bytes(before[: len(before) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="No space left"):
            trainer.save_checkpoint(5)
        assert checkpoints_of(trainer) == ["step-000000002.ckpt"]
        assert (trainer.checkpoint_dir / "step-000000002.ckpt").read_bytes() == before
        monkeypatch.undo()
        trainer.save_checkpoint(5)
        assert checkpoints_of(trainer) == ["step-000000005.ckpt"]
        assert not list(trainer.base_dir.glob("*.writing*"))

    @pytest.mark.parametrize(("every", "said"), [(1000, "before anything was saved"), (1, "goes on at step 2 of")])
    def test_ctrl_c_ends_in_a_sentence_and_leaves_no_progress_bar(
        self, open_scene: Scene, tmp_path: Path, every: int, said: str
    ):
        trainer = build_trainer(small_config(open_scene, tmp_path, steps_per_save=every))
        trainer.progress.in_terminal = True
        learn = trainer.pipeline.get_train_loss_dict

        def stop(step: int) -> Any:
            if step == 2:
                raise KeyboardInterrupt
            return learn(step)

        trainer.pipeline.get_train_loss_dict = stop
        with CONSOLE.capture() as shown, pytest.raises(SystemExit) as stopped:
            trainer.train()
        assert stopped.value.code == 130 and said in shown.get()
        assert trainer.progress.bar is None


class TestSavedSettings:
    def test_the_run_says_what_it_was_built_with(self, finished_run: Any, open_scene: Scene, tmp_path: Path):
        config = small_config(open_scene, tmp_path, content_checkpoint=finished_run.base_dir, style_steps=1)
        config.pipeline.model.content.channels = 7
        trainer = build_trainer(config)
        saved = yaml.load((trainer.base_dir / "config.yml").read_text(), Loader=yaml.Loader)
        assert saved.pipeline.model.content.channels == 4
        assert saved.pipeline.model.content.resolutions == (8, 32)

    def test_everything_in_a_checkpoint_loads_safely(self, finished_run: Any):
        contents = torch.load(finished_run.checkpoint_dir / "step-000000189.ckpt", weights_only=True)
        assert {"step", "pipeline", "optimizers", "schedulers", "scalers", "random"} <= contents.keys()
        assert contents["step"] == 189
        rates = [group["lr"] for state in contents["optimizers"].values() for group in state["param_groups"]]
        assert {type(rate) for rate in rates} == {float}
