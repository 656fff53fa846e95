import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nerfstudio.models.base_model import ModelConfig
from nerfstudio.utils.rich_utils import CONSOLE

from ins3d.plugin.finished.scenes import paint_scene
from ins3d.plugin.methods import METHODS as REGISTERED
from ins3d.plugin.methods import big, small
from ins3d.plugin.ray_content import GridSettings
from ins3d.plugin.style_field import HashStyle
from ins3d.plugin.trainer import which_settings
from tests.plugin.tiny_scenes import WIDTH, Scene, build_pipeline, small_config

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
METHODS = {method.config.method_name: method for method in REGISTERED}


class TestRegistration:
    def test_every_entry_point_names_its_method(self):
        points = {p.name: p for p in importlib.metadata.entry_points(group="nerfstudio.method_configs") if p.name in METHODS}
        assert points.keys() == METHODS.keys()
        for name, point in points.items():
            assert point.load() is METHODS[name]
            assert METHODS[name].config.method_name == name

    def test_nerfstudio_lists_every_method_with_its_description(self):
        from nerfstudio.configs.method_configs import all_descriptions, all_methods

        for name, method in METHODS.items():
            assert all_methods[name].method_name == name
            assert all_descriptions[name] == method.description

    def test_the_method_names_no_group_that_no_parameter_can_have(self):
        known = {"content_tables", "content", "proposals", "style_planes", "style", "gates"}
        for method in METHODS.values():
            assert set(method.config.optimizers) <= known

    def test_the_defaults_of_one_method_do_not_leak_into_another(self):
        configs = [method.config for method in METHODS.values()]
        for first, second in zip(configs, configs[1:], strict=False):
            assert first.pipeline is not second.pipeline
            assert first.pipeline.model is not second.pipeline.model
            assert first.optimizers["style"]["optimizer"] is not second.optimizers["style"]["optimizer"]

    @pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the default is cuda")
    def test_without_a_gpu_the_device_is_the_cpu(self):
        assert {method.config.machine.device_type for method in METHODS.values()} == {"cpu"}


class TestPresets:
    @pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU it is the big one")
    def test_without_a_gpu_ins_stylize_is_the_small_one(self):
        assert METHODS["ins-stylize"].config == small("ins-stylize") != big("ins-stylize")

    @pytest.mark.parametrize(
        ("method", "has_gpu", "device", "said"),
        [
            ("ins-stylize", False, "cpu", "Settings for a CPU, those of ins-stylize-small."),
            ("ins-stylize", True, "cuda", "Settings for a GPU, those of ins-stylize-big; ins-stylize-small has"),
            ("ins-stylize", True, "cpu", "ins-stylize has settings for a GPU: on this CPU it takes hours"),
            ("ins-stylize-big", False, "cpu", "ins-stylize-big has settings for a GPU: on this CPU it takes hours"),
            ("ins-stylize-big", True, "cuda", None),
            ("ins-stylize-small", True, "cuda", None),
            ("ins-stylize-paper", False, "cpu", None),
        ],
    )  # fmt: skip
    def test_a_line_says_which_settings_they_are(self, method: str, has_gpu: bool, device: str, said: str | None):
        found = which_settings(method, has_gpu, device)
        assert found is None if said is None else found is not None and said in found

    def test_the_big_ones_go_through_both_stages_on_a_cpu(self, open_scene: Scene, tmp_path: Path):
        config = big("ins-stylize-big")
        config.data, config.output_dir, config.vis = open_scene.folder, tmp_path, "tensorboard"
        config.pipeline.content_steps = config.pipeline.style_steps = 2
        config.pipeline.patches.size, config.pipeline.patches.max_rays = 16, 2000
        config.pipeline.model.content.resolutions = (16, 32)  # gigabytes are not what is tested
        config.pipeline.model.style_field.log2_size = 12
        with CONSOLE.capture() as told:
            scene = paint_scene(config)
        assert "on this CPU it takes hours" in told.get()
        assert scene.pipeline.model.config.content.num_samples == 48


class TestImport:
    @pytest.mark.slow
    def test_the_plugin_brings_in_no_heavy_package_that_the_host_has_not(self):
        """torchvision loads its models whenever the host loads torchvision; what counts is what we add."""
        script = """
import json, sys
import nerfstudio.pipelines.base_pipeline, nerfstudio.plugins.types
heavy = ("kornia", "open3d", "torchvision.models")
before = {name for name in heavy if name in sys.modules}
import ins3d.plugin.methods
print(json.dumps(sorted({name for name in heavy if name in sys.modules} - before)))
"""
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert json.loads(said.stdout.strip().splitlines()[-1]) == []


class TestCommandLine:
    def test_the_option_names_are_those_of_the_golden_file(self, monkeypatch: pytest.MonkeyPatch, capsys):
        """Renaming an option breaks people's scripts. After a wanted change: INS3D_UPDATE_GOLDEN=1 pytest <this file>."""
        from nerfstudio.scripts.train import entrypoint

        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["ns-train", "ins-stylize", "--help"])
        with pytest.raises(SystemExit) as stopped:
            entrypoint()
        assert stopped.value.code in (0, None)
        options = sorted(set(re.findall(r"--pipeline\.[a-z0-9.-]*[a-z0-9]", capsys.readouterr().out)))
        golden = GOLDEN / "ins_stylize_options.txt"
        if os.environ.get("INS3D_UPDATE_GOLDEN"):
            golden.parent.mkdir(exist_ok=True)
            golden.write_text("\n".join(options) + "\n")
        assert options == golden.read_text().splitlines()

    def test_no_more_than_45_options_are_ours(self):
        """Whoever reads the help must find theirs; the host's are its own."""
        options = (GOLDEN / "ins_stylize_options.txt").read_text().splitlines()
        of_host = {f"--pipeline.model.{name.replace('_', '-')}" for name in ModelConfig.__dataclass_fields__}
        ours = [
            option for option in options
            if option not in of_host
            and not option.startswith(("--pipeline.datamanager.", "--pipeline.model.loss-coefficients."))
        ]  # fmt: skip
        assert 30 < len(ours) + 1 <= 45  # and pipeline.datamanager.seed


def test_sizes_that_pictures_decide_are_saved_with_the_run(open_scene: Scene, tmp_path: Path):
    config = small_config(open_scene, tmp_path)
    config.pipeline.model.content, config.pipeline.model.style_field = GridSettings(), HashStyle()
    pipeline = build_pipeline(config)
    assert config.pipeline.model.content.resolutions == (32, 81, 203, 512)
    assert config.pipeline.model.style_field.resolutions == (128, 256, 512)
    assert pipeline.model.picture_side == WIDTH
