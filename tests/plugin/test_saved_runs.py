"""Names of earlier versions; tests/test_old_files.py opens a whole old run."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from ins3d.plugin.datamanager import InsStylizeDataManagerConfig
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.methods import ins_stylize
from ins3d.plugin.model import InsStylizeModelConfig
from ins3d.plugin.pipeline import InsStylizePipelineConfig
from ins3d.plugin.pixel_sampler import PatchSettings
from ins3d.plugin.ray_content import ContentSettings, FrequencySettings, PlanesSettings
from ins3d.plugin.sample_pool import PoolSettings
from ins3d.plugin.saved_runs import upgrade, upgrade_content, upgrade_state
from ins3d.plugin.style_field import FrequencyStyle, PlanesStyle

OF_HASH = {
    "implementation": "torch", "num_levels": 4, "base_res": 16, "max_res": 64, "log2_hashmap_size": 9,
    "features_per_level": 2, "hidden_dim": 16, "hidden_dim_color": 16, "num_layers": 2, "average_init_density": 1.0,
    "num_images": 1, "appearance_embed_dim": 0, "proposal_levels": (3,), "proposal_max_res": (32,),
    "proposal_log2_hashmap_size": (8,), "proposal_hidden_dim": (8,), "proposal_linear": (False,),
}  # fmt: skip
EXPECTED = {
    "planes": PlanesSettings((8, 16), 4, num_proposal_samples=(24,), num_samples=8),
    "frequency": FrequencySettings(num_coarse_samples=24, num_samples=8),
    "hash": HashSettings(**OF_HASH, num_proposal_samples=(24,), num_samples=8),
}


def old_settings(kind: str, hash_settings: Any) -> dict[str, Any]:
    return {
        "kind": kind, "plane_resolutions": (8, 16), "plane_channels": 4, "hash": hash_settings,
        "num_proposal_samples": (24,), "num_samples": 8,
    }  # fmt: skip


@pytest.mark.parametrize("kind", EXPECTED)
class TestContentSettings:
    def test_of_a_config_become_those_of_their_kind(self, kind: str):
        content, of_hash = ContentSettings(), HashSettings.__new__(HashSettings)
        of_hash.__dict__.update(OF_HASH)  # as yaml makes an object
        content.__dict__.update(old_settings(kind, of_hash))
        pipeline = type(ins_stylize.config.pipeline)()
        pipeline.model.content = content  # type: ignore[assignment]
        upgrade(pipeline)
        assert pipeline.model.content == EXPECTED[kind]
        upgrade(pipeline)
        assert pipeline.model.content == EXPECTED[kind]

    def test_of_a_content_checkpoint_become_those_of_their_kind(self, kind: str):
        contents = {"settings": old_settings(kind, dict(OF_HASH)), "state": {"placement.near": torch.tensor(1.0)}}
        upgraded = upgrade_content(contents)
        assert upgraded["settings"] == EXPECTED[kind]
        assert upgraded["state"].keys() == {"background", "placement.near"}


class TestState:
    def test_the_background_is_the_contents(self):
        state = {"_model.background": torch.ones(3), "_model.loss_units": torch.ones(1)}
        assert list(upgrade_state(state)) == ["_model.ray_content.background", "_model.loss_normalisers"]

    def test_normalisers_have_their_new_name_and_the_key_of_before_is_dropped(self):
        state = upgrade_state({"_model.loss_units": torch.full((1, 2), 3.0), "_model.loss_key": torch.ones(4)})
        assert state.keys() == {"_model.loss_normalisers"} and bool((state["_model.loss_normalisers"] == 3).all())

    def test_maps_of_before_are_those_that_strokes_were_learned_under(self):
        maps = torch.rand(2, 3, 4)
        assert torch.equal(upgrade_state({"_model.colors.maps": maps})["_model.colors.trained"], maps)

    def test_what_is_of_today_stays(self):
        state = {"_model.colors.maps": torch.ones(1, 3, 4), "_model.colors.trained": torch.zeros(1, 3, 4)}
        assert torch.equal(upgrade_state(state)["_model.colors.trained"], torch.zeros(1, 3, 4))


def object_of(kind: type, values: dict[str, Any]) -> Any:
    """As yaml makes one: without `__init__`, with just these attributes."""
    made = kind.__new__(kind)
    made.__dict__.update(values)
    return made


def old_pipeline(**edits: Any) -> Any:
    """The pipeline settings of a config.yml of 0.2; edits are of the model."""
    model = {
        "styles": (Path("/art/wave.jpg"), Path("/art/candy.jpg")), "style_mix": (1.0, 3.0), "style_strength": 0.7,
        "strength_share": 0.11, "mix_share": 0.12, "geometry": "distilled", "shading": "full", "num_surface_points": 3,
        "num_training_points": 1, "num_render_samples": 48, "spread_mult": 0.4, "footprint_mult": 0.5,
        "zero_view_direction": False, "style_encoding": "planes", "style_plane_resolutions": (24, 48),
        "style_plane_channels": 6, "style_width": 32, "gate_init": (0.7, 0.8), "perceptual_encoder": "vgg19",
        "perceptual_weights": None, "perceptual_pooling": "max", "style_loss": ("gram", "nnfm:0.5", "gram_raw:2"),
        "style_layers": ("relu1_2",), "style_scales": (1, 2), "content_layers": ("relu3_1",), "style_picture_size": 200,
        "colors": "none", "loss_scale": "measured", "style_loss_mult": 3.0, "content_loss_mult": 0.21, "tv_loss_mult": 0.22,
        "geometry_loss_mult": 0.23, "rgb_loss_mult": 1.5, "interlevel_loss_mult": 0.9, "distortion_loss_mult": 0.02,
        "view_dropout": 0.3, "near": 1.5, "far": None, "center": None, "radius": None,
        "content": object_of(
            ContentSettings, old_settings("planes", object_of(HashSettings, OF_HASH)),
        ),
        **edits,
    }  # fmt: skip
    return object_of(
        InsStylizePipelineConfig,
        {
            "model": object_of(InsStylizeModelConfig, model), "content_steps": 100, "style_steps": 50,
            "more_styles_mult": 0.3, "datamanager": object_of(InsStylizeDataManagerConfig, {}),
            "patches": object_of(
                PatchSettings, {"size": 48, "strides": (2, 4), "halve_stride_every": 5, "num_patches": 2}
            ),
            "pool": object_of(PoolSettings, {"max_rays": 1234, "share_of_memory": 0.1}),
        },
    )  # fmt: skip


class TestConfig:
    def test_pictures_and_styles_are_looked_at_as_they_were(self):
        pipeline = old_pipeline(style_picture_size=None)
        upgrade(pipeline)
        assert pipeline.datamanager.size == 0 and pipeline.model.style_size == 256
        assert pipeline.model.style_field.mixes == "features" and pipeline.patches.rule == "squares"

    def test_those_of_today_stay(self):
        pipeline = type(ins_stylize.config.pipeline)()
        today = copy.deepcopy(pipeline)
        upgrade(pipeline)
        assert pipeline == today

    @pytest.fixture
    def upgraded(self) -> Any:
        pipeline = old_pipeline()
        upgrade(pipeline)
        return pipeline

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("styles", ("/art/wave.jpg", "/art/candy.jpg")),
            ("mix", (1.0, 3.0)),
            ("strength", 0.7),
            ("partial_share", 0.11),
            ("blend_share", 0.12),
            ("num_points", (1, 3)),
            ("style_size", 200),
            ("content_weight", 0.21),
            ("tv_weight", 0.22),
            ("geometry_weight", 0.23),
            # gram_raw was a quarter of gram_hw.
            ("style_loss", ("gram:3", "nnfm:1.5", "gram_hw:1.5")),
            ("style_field", PlanesStyle(32, 0.7, 0.8, "features", True, resolutions=(24, 48), channels=6)),
            ("content", EXPECTED["planes"]),
            ("normalise_losses", True),
            ("squash_patches", False),
            ("over_style_mean", True),
        ],
    )  # fmt: skip
    def test_every_setting_has_its_new_name(self, upgraded: Any, name: str, value: Any):
        assert getattr(upgraded.model, name) == value

    @pytest.mark.parametrize(
        "name",
        [
            "geometry", "shading", "spread_mult", "footprint_mult", "perceptual_encoder",
            "perceptual_pooling", "style_layers", "style_scales", "content_layers", "colors", "interlevel_loss_mult",
            "distortion_loss_mult", "view_dropout", "near",
        ],
    )  # fmt: skip
    def test_the_others_stay(self, upgraded: Any, name: str):
        assert getattr(upgraded.model, name) == getattr(old_pipeline().model, name)

    def test_windows_are_those_of_the_pool(self, upgraded: Any):
        assert upgraded.patches == PatchSettings(48, (2, 4), "squares", max_rays=1234, num_patches=2)

    def test_nothing_is_left_that_is_no_setting(self, upgraded: Any):
        for settings in (upgraded, upgraded.model, upgraded.patches):
            assert vars(settings).keys() <= type(settings).__dataclass_fields__.keys()

    def test_the_losses_of_the_release(self):
        pipeline = old_pipeline(loss_scale="release", style_encoding="frequency")
        upgrade(pipeline)
        model = pipeline.model
        assert (model.normalise_losses, model.squash_patches, model.over_style_mean) == (False, True, False)
        assert model.style_field == FrequencyStyle(width=32, density_gate=0.7, color_gate=0.8, view_direction=True)

    def test_once_is_enough(self, upgraded: Any):
        before = copy.deepcopy(upgraded)
        upgrade(upgraded)
        assert vars(upgraded.model) == vars(before.model) and vars(upgraded.patches) == vars(before.patches)


def test_a_setting_that_an_older_config_does_not_know_has_the_default_that_0_2_read_it_with():
    from ins3d.plugin.saved_runs import _upgrade_model

    model = InsStylizeModelConfig()
    vars(model).update(style_loss_mult=1.0, style_loss=("gram",), styles=("wave.jpg",))
    _upgrade_model(model)
    assert model.num_points == (2, 4) and model.style_field == PlanesStyle() and model.normalise_losses
