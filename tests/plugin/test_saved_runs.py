"""Names of earlier versions; tests/test_old_files.py opens a whole old run."""

from typing import Any

import pytest
import torch

from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.methods import ins_stylize
from ins3d.plugin.ray_content import ContentSettings, FrequencySettings, PlanesSettings
from ins3d.plugin.saved_runs import upgrade, upgrade_content, upgrade_state

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
