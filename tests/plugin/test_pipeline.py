import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ins3d.style.sizes import steps_of_a_style
from tests.plugin.tiny_scenes import HEIGHT, OPEN_PLACEMENT, WIDTH, Scene, build_pipeline, small_config


class TestSettings:
    def test_locked_geometry_and_moving_content_exclude_each_other(self, open_scene: Scene, tmp_path: Path):
        text = (
            "pipeline.content-style-mult: locked geometry keeps the content as it is, so its rate must be 0; "
            "or let a content that can move do so with --pipeline.model.geometry distilled."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, content_style_mult=0.1))

    @pytest.mark.parametrize(("points", "text"), [
        ((0, 4), "pipeline.model.num-points: 0 is too little; use 1 or more."),
        ((2, 5), "pipeline.model.num-points: 5 is too much; use 4 or less."),
    ])  # fmt: skip
    def test_the_number_of_merged_points_has_bounds(
        self, open_scene: Scene, tmp_path: Path, points: tuple[int, int], text: str
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, model__num_points=points))

    def test_a_footprint_is_not_negative(self, open_scene: Scene, tmp_path: Path):
        text = "pipeline.model.footprint-mult: -0.1 is too little; use 0 or more."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, model__footprint_mult=-0.1))

    def test_at_least_one_style_is_needed(self, open_scene: Scene, tmp_path: Path):
        text = "pipeline.model.styles: no picture is given; name at least one."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, model__styles=()))

    @pytest.mark.parametrize(
        ("edits", "error", "text"),
        [
            (
                {"model__styles": ("/nowhere/starry.jpg",)},
                FileNotFoundError,
                "pipeline.model.styles: /nowhere/starry.jpg does not exist; give paths of pictures (png, jpg, webp, tiff), "
                "or a folder of them.",
            ),
            (
                {"patches__size": 64},
                ValueError,
                "patches.size / patches.strides: a patch of 64 rays at stride 1 covers 64 pixels, more than the 48x40 "
                "picture has; use a patch size of 40 or less.",
            ),
            (
                {"patches__size": 4, "model__style_scales": (1, 2)},
                ValueError,
                "pipeline.patches.size: patches of 4x4 rays are too few for the encoder's deepest layer, which needs 8 a "
                "side; use 8 or more, or style and content layers less deep.",
            ),
            (
                {"datamanager__size": 6, "patches__size": None, "model__style_scales": (1, 2)},
                ValueError,
                "pipeline.datamanager.size: pictures of 6x5 pixels are too few for the encoder's deepest layer, which needs "
                "8 a side; work on larger ones, or style and content layers less deep.",
            ),
            (
                {"patches__size": None, "patches__strides": (1, 16)},
                ValueError,
                "pipeline.patches.strides: the 3x2 rays that stride 16 leaves of a picture are too few for the encoder's "
                "deepest layer, which needs 4 a side; use strides of 10 or less, or style and content layers less deep.",
            ),
            (
                {"patches__max_rays": 100},
                ValueError,
                "patches.max-rays: 100 rays are fewer than one window at every stride has; use 576 or more, or a smaller "
                "patches.size.",
            ),
            (
                {"model__partial_share": 1.5},
                ValueError,
                "pipeline.model.partial-share: 1.5 is too much; use 1 or less.",
            ),
            (
                {"model__blend_share": -0.1},
                ValueError,
                "pipeline.model.blend-share: -0.1 is too little; use 0 or more.",
            ),
            (
                {"model__mix": (1.0, 2.0)},
                ValueError,
                "pipeline.model.mix: 2 weights for 1 styles; give one for each of style.",
            ),
            (
                {"model__strength": 1.5},
                ValueError,
                "pipeline.model.strength: 1.5 is outside 0 (the content) to 1 (full style).",
            ),
            (
                {"model__perceptual_weights": Path("/nowhere/vgg.pth")},
                FileNotFoundError,
                "perceptual-weights: /nowhere/vgg.pth does not exist; give the file of the network's weights.",
            ),
        ],
        ids=[
            "style",
            "patch",
            "thin patch",
            "thin picture",
            "stride",
            "rays",
            "share",
            "blend share",
            "mix",
            "strength",
            "weights",
        ],
    )
    def test_what_the_style_stage_cannot_use_is_refused_before_the_content_is_trained(
        self, open_scene: Scene, tmp_path: Path, edits: dict[str, Any], error: type[Exception], text: str
    ):
        """A mistyped path must not cost the minutes of the content stage."""
        with pytest.raises(error, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, **edits))

    def test_a_content_checkpoint_that_does_not_exist_is_refused(self, open_scene: Scene, tmp_path: Path):
        path = tmp_path / "nothing.ckpt"
        text = (
            f"pipeline.content-checkpoint: {path} does not exist; give content.ckpt, the folder of a run, a run's "
            "config.yml, or a .ply of splats."
        )
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, content_checkpoint=path))


class TestStrokeSizes:
    def test_every_style_is_learned_at_every_size_and_kept_as_it_was_read(self, open_scene: Scene, tmp_path: Path):
        config = small_config(open_scene, tmp_path, model__stroke_sizes=(2.0, 1.0), model__style_size=40)
        pipeline = build_pipeline(config)
        assert pipeline.style.names == ("style x1", "style x2") and pipeline.num_new_styles == 2
        assert [max(style.pictures[0][0].shape[1:]) for style in pipeline.objective.styles] == [40, 80]
        # What is saved is read again as the same styles, whoever opens it.
        again = build_pipeline(config)
        assert again.style.names == pipeline.style.names

    def test_what_is_looked_at_is_a_share_of_the_picture(self, open_scene: Scene, tmp_path: Path):
        pipeline = build_pipeline(small_config(open_scene, tmp_path, model__style_size=None, model__stroke_size=2.0))
        assert pipeline.objective.view.long_side == round(0.8 * 2 * max(HEIGHT, WIDTH))

    @pytest.mark.parametrize("size", [0.0, 100.0])
    def test_sizes_that_cannot_be_painted_are_refused(self, open_scene: Scene, tmp_path: Path, size: float):
        with pytest.raises(ValueError, match=r"^pipeline.model.stroke-size: .* use (0.2 or more|5 or less)\.$"):
            build_pipeline(small_config(open_scene, tmp_path, model__stroke_size=size))


class TestStages:
    def test_steps_before_the_boundary_are_the_contents_and_from_there_on_the_styles(
        self, open_scene: Scene, tmp_path: Path
    ):
        pipeline = build_pipeline(small_config(open_scene, tmp_path, content_steps=3, style_steps=2))
        pipeline.train()
        for step in range(3):
            assert "rgb_loss" in pipeline.get_train_loss_dict(step)[1]
            assert not bool(pipeline.model.is_stylized) and not (pipeline.config.run_dir / "content.ckpt").exists()
        for step in (3, 4):
            assert "gram_loss" in pipeline.get_train_loss_dict(step)[1]
            assert bool(pipeline.model.is_stylized) and (pipeline.config.run_dir / "content.ckpt").is_file()

    def test_styles_are_learned_as_long_as_the_pictures_size_asks_for(self, open_scene: Scene, tmp_path: Path):
        pipeline = build_pipeline(small_config(open_scene, tmp_path, style_steps=None))
        cameras = pipeline.datamanager.train_dataset.cameras
        pixels = int((cameras.height * cameras.width).max())
        assert pipeline.style_steps == steps_of_a_style(pixels) > 0
        assert steps_of_a_style(1_000_000) > 2 * steps_of_a_style(32_400) > 2 * steps_of_a_style(4_000)

    def test_the_sampler_counts_the_content_steps(self, open_scene: Scene, tmp_path: Path):
        pipeline = build_pipeline(small_config(open_scene, tmp_path))
        pipeline.train()
        for step in range(4):
            pipeline.get_train_loss_dict(step)
        assert pipeline.model.ray_content.sampler._step == 3

    def test_a_given_place_is_taken_as_it_is(self, open_scene: Scene, tmp_path: Path):
        placement = build_pipeline(small_config(open_scene, tmp_path)).model.ray_content.placement
        given = {name: getattr(placement, name).tolist() for name in OPEN_PLACEMENT}
        expected = {name: torch.tensor(value).tolist() for name, value in OPEN_PLACEMENT.items()}
        assert given == expected

    @pytest.mark.parametrize("radius", [1.5, None])
    def test_an_object_stays_bounded_whatever_is_given(self, object_scene: Scene, tmp_path: Path, radius: float | None):
        edits = {"model__near": 1.0, "model__far": 8.0, "model__center": (0.0, 0.0, 0.0), "model__radius": radius}
        placement = build_pipeline(small_config(object_scene, tmp_path, **edits)).model.ray_content.placement
        assert bool(placement.bounded)
