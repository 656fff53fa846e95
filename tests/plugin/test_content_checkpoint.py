import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.models.nerfacto import NerfactoModel

from ins3d.plugin.content_checkpoint import (
    check_same_scene,
    explain_mismatch,
    load_content,
    load_finished,
    load_strictly,
    save_content,
)
from ins3d.plugin.contents.content import Content, build_content
from tests.plugin.tiny_scenes import Scene, build_trainer, small_config, train

NUM_IMAGES = 11


@pytest.fixture
def nerfacto_run(open_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, NerfactoModel]:
    """(folder, model) of a tiny nerfacto run on the open scene, saved as nerfstudio saves one."""
    # The host's model downloads AlexNet for LPIPS when it is built.
    monkeypatch.setattr(
        "torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", lambda **_: torch.nn.Identity(), raising=True
    )
    from nerfstudio.configs.method_configs import method_configs

    config = copy.deepcopy(method_configs["nerfacto"])
    ours = small_config(open_scene, tmp_path)
    config.output_dir, config.timestamp, config.experiment_name = tmp_path / "nerfacto", "run", "scene"
    config.pipeline.datamanager = ours.pipeline.datamanager
    model = config.pipeline.model
    model.implementation, model.num_levels, model.max_res, model.log2_hashmap_size = "torch", 4, 64, 9
    model.hidden_dim = model.hidden_dim_color = 16
    model.appearance_embed_dim, model.average_init_density = 5, 0.3
    model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (12, 10), 8
    model.near_plane, model.far_plane = 0.07, 33.0
    model.proposal_net_args_list = [
        {"hidden_dim": 8, "log2_hashmap_size": 8, "num_levels": 3, "max_res": 32, "use_linear": False},
        {"hidden_dim": 8, "log2_hashmap_size": 8, "num_levels": 4, "max_res": 64, "use_linear": True},
    ]
    torch.manual_seed(3)
    pipeline = config.pipeline.setup(device="cpu", test_mode="val")
    with torch.no_grad():
        for parameter in pipeline.model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    config.save_config()
    folder = config.get_base_dir()
    pipeline.datamanager.train_dataparser_outputs.save_dataparser_transform(folder / "dataparser_transforms.json")
    config.get_checkpoint_dir().mkdir()
    contents = {"step": 7, "pipeline": pipeline.state_dict(), "optimizers": {}, "schedulers": {}, "scalers": {}}
    torch.save(contents, config.get_checkpoint_dir() / "step-000000007.ckpt")
    return folder, pipeline.model.eval()


def field_from(path: Path) -> Content:
    checkpoint = load_finished(path)
    field = build_content(checkpoint.settings)
    load_strictly(field, checkpoint)
    return field.eval()


def samples_at(positions: torch.Tensor, directions: torch.Tensor) -> RaySamples:
    """One sample per ray, whose middle is the position."""
    rays = RayBundle(
        origins=positions - directions, directions=directions, pixel_area=torch.ones(len(positions), 1),
        camera_indices=torch.zeros(len(positions), 1, dtype=torch.long),
    )  # fmt: skip
    ones = torch.ones(len(positions), 1, 1)
    samples = rays.get_ray_samples(bin_starts=0.5 * ones, bin_ends=1.5 * ones)
    samples.camera_indices = torch.zeros(len(positions), 1, 1, dtype=torch.long)
    return samples


class TestNerfactoRuns:
    def test_density_and_colour_are_nerfactos_everywhere(self, nerfacto_run):
        folder, model = nerfacto_run
        field = field_from(folder / "config.yml")
        random = torch.Generator().manual_seed(0)
        # From the middle of the scene to far out in the contracted space.
        reach = torch.logspace(-1, 1.2, 300)[:, None]
        positions = reach * torch.randn(300, 3, generator=random)
        directions = torch.nn.functional.normalize(torch.randn(300, 3, generator=random), dim=-1)
        samples = samples_at(positions, directions)
        with torch.no_grad():
            theirs = model.field(samples)
            point = field.content(field.placement(positions))
            density = field.content.density(point.raw_density) * field.placement.density_scale
            rgb = field.content.rgb(point.color_features, directions)
        assert torch.allclose(density, theirs[FieldHeadNames.DENSITY][:, 0], rtol=1e-4, atol=1e-5)
        assert torch.allclose(rgb, theirs[FieldHeadNames.RGB][:, 0], atol=1e-4)
        assert float(theirs[FieldHeadNames.RGB].std()) > 0.02 and float(theirs[FieldHeadNames.DENSITY].std()) > 0.01

    def test_proposal_densities_are_nerfactos(self, nerfacto_run):
        folder, model = nerfacto_run
        field = field_from(folder / "config.yml")
        positions = 3 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        assert len(model.density_fns) == len(field.density_functions()) == 2
        with torch.no_grad():
            for theirs, ours in zip(model.density_fns, field.density_functions(), strict=True):
                assert torch.allclose(ours(positions), theirs(positions), rtol=1e-4, atol=1e-5)

    def test_sampling_keeps_nerfactos_numbers_and_bounds(self, nerfacto_run):
        checkpoint = load_finished(nerfacto_run[0] / "config.yml")
        assert checkpoint.settings.num_proposal_samples == (12, 10) and checkpoint.settings.num_samples == 8
        assert checkpoint.settings.implementation == "torch"
        assert float(checkpoint.state["placement.near"]) == pytest.approx(0.07)
        assert float(checkpoint.state["placement.far"]) == 33.0
        assert checkpoint.source == str(nerfacto_run[0] / "config.yml")

    def test_it_can_be_stylised(self, nerfacto_run, open_scene: Scene, tmp_path: Path):
        folder, _ = nerfacto_run
        config = small_config(open_scene, tmp_path, content_checkpoint=folder / "config.yml", style_steps=3)
        trainer = train(config)
        expected = load_finished(folder / "config.yml").state
        saved = load_content(trainer.base_dir / "content.ckpt").state
        assert saved.keys() == expected.keys()
        assert all(torch.equal(saved[name], expected[name]) for name in expected)

    def test_another_scenes_run_is_refused(self, nerfacto_run, object_scene: Scene, tmp_path: Path):
        config = small_config(object_scene, tmp_path, content_checkpoint=nerfacto_run[0] / "config.yml")
        with pytest.raises(ValueError, match="was trained on another scene or with other dataparser settings"):
            build_trainer(config)

    def test_an_unfinished_run_is_refused(self, nerfacto_run):
        folder, _ = nerfacto_run
        (folder / "nerfstudio_models" / "step-000000007.ckpt").unlink()
        file = folder / "config.yml"
        text = f"pipeline.content-checkpoint: there is no checkpoint beside {file}; let the run finish."
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(text)}$"):
            load_finished(folder / "config.yml")

    def test_a_truncated_checkpoint_is_named(self, nerfacto_run):
        file = nerfacto_run[0] / "nerfstudio_models" / "step-000000007.ckpt"
        file.write_bytes(file.read_bytes()[:1000])
        with pytest.raises(ValueError, match=rf"^pipeline\.content-checkpoint: .*{re.escape(str(file))}"):
            load_finished(nerfacto_run[0] / "config.yml")

    def test_a_run_of_another_method_is_refused(self, nerfacto_run, tmp_path: Path):
        from nerfstudio.configs.method_configs import method_configs

        config = copy.deepcopy(method_configs["vanilla-nerf"])
        config.output_dir, config.timestamp, config.experiment_name = tmp_path / "other", "run", "scene"
        config.save_config()
        file = config.get_base_dir() / "config.yml"
        remedy = "give a run of ins3d, of nerfacto or of splatfacto."
        text = f"pipeline.content-checkpoint: {file} is a run of vanilla-nerf; {remedy}"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            load_finished(file)


class TestOurFiles:
    @pytest.mark.parametrize("given", ["content.ckpt", "", "config.yml"])
    def test_the_file_the_folder_and_the_config_all_name_the_content(self, finished_run: Any, given: str):
        checkpoint = load_content(finished_run.base_dir / given)
        assert checkpoint.settings == finished_run.pipeline.config.model.content
        own = finished_run.pipeline.model.ray_content.state_dict()
        assert all(torch.equal(value, own[name]) for name, value in checkpoint.state.items())
        assert checkpoint.source == str(finished_run.base_dir / "content.ckpt")

    def test_saving_and_loading_gives_the_same_field(self, finished_run: Any, tmp_path: Path):
        field = finished_run.pipeline.model.ray_content
        outputs, settings = (
            finished_run.pipeline.datamanager.train_dataparser_outputs,
            finished_run.pipeline.config.model.content,
        )
        save_content(tmp_path / "run" / "content.ckpt", settings, field, outputs)
        again = field_from(tmp_path / "run" / "content.ckpt")
        positions = torch.rand(50, 3) - 0.5
        assert torch.equal(again.content(positions).raw_density, field.content(positions).raw_density)
        assert sorted(file.name for file in tmp_path.rglob("*.*")) == ["content.ckpt"]

    @pytest.mark.parametrize("fault", ["truncated", "empty", "foreign", "text"])
    def test_a_file_that_is_no_content_checkpoint_is_refused(self, finished_run: Any, tmp_path: Path, fault: str):
        file = tmp_path / "content.ckpt"
        whole = (finished_run.base_dir / "content.ckpt").read_bytes()
        if fault == "foreign":
            torch.save({"state_dict": {}}, file)
        else:
            file.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}[fault])
        text = rf"^pipeline\.content-checkpoint: {re.escape(str(file))} is not a content checkpoint of ins3d \(.+\)\.$"
        with pytest.raises(ValueError, match=re.compile(text, re.DOTALL)):
            load_content(file)

    def test_a_folder_without_content_is_refused(self, tmp_path: Path):
        text = (
            f"pipeline.content-checkpoint: {tmp_path / 'content.ckpt'} does not exist; give content.ckpt, the folder of a "
            "run, a run's config.yml, or a .ply of splats."
        )
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(text)}$"):
            load_content(tmp_path)

    def test_the_same_scene_is_recognised_by_scale_and_transform(self, finished_run: Any):
        outputs = copy.copy(finished_run.pipeline.datamanager.train_dataparser_outputs)
        checkpoint = load_content(finished_run.base_dir)
        check_same_scene(checkpoint, outputs)
        for name, value in (
            ("dataparser_scale", 1.001 * outputs.dataparser_scale),
            ("dataparser_transform", outputs.dataparser_transform + 0.01),
        ):
            other = copy.copy(outputs)
            setattr(other, name, value)
            with pytest.raises(ValueError, match="was trained on another scene or with other dataparser settings"):
                check_same_scene(checkpoint, other)


class TestExplainMismatch:
    def test_what_fits_is_silent(self):
        explain_mismatch({"a": torch.zeros(2)}, {"a": torch.ones(2)}, "it")

    def test_counts_and_first_key_are_named(self):
        own = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}
        loaded = {"b": torch.zeros(4), "d": torch.zeros(1), "e": torch.zeros(1)}
        text = (
            "it does not fit: 2 parameters missing, 2 unknown, 1 of another shape (the first: a); it was made with other "
            "settings of content or style: use the same ones."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            explain_mismatch(own, loaded, "it")
