"""What was written before the package was divided into rooms opens, and looks as it did (tests/old_files/README.md)."""

import zipfile
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from ins3d.cli import object as object_command
from ins3d.cli import picture as picture_command
from ins3d.style.mix import Mix
from ins3d.style.styles import DEFAULT_STYLE
from tests.plugin.conftest import clean_host  # noqa: F401
from tests.plugin.tiny_scenes import psnr

ROOT = Path(__file__).resolve().parents[1]
OLD = Path(__file__).parent / "old_files"
SMALL = ["--size", "64", "--device", "cpu"]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old files, with paths of this machine where the config had those of another."""
    folder = tmp_path_factory.mktemp("old")
    zipfile.ZipFile(OLD / "0a187a1.zip").extractall(folder)
    config = folder / "scene" / "old" / "ins-stylize" / "run" / "config.yml"
    text = config.read_text()
    for word, path in (("OUTPUT", folder / "scene"), ("DATA", ROOT / "scenes" / "still_life"), ("STYLE", DEFAULT_STYLE)):
        assert f"- {word}\n" in text
        text = text.replace(f"- {word}\n", f"- {path}\n")
    config.write_text(text)
    return folder


@pytest.fixture
def run(old: Path) -> Path:
    """The folder of the finished run."""
    return old / "scene" / "old" / "ins-stylize" / "run"


def assert_looks_as_it_did(picture: Path, then: str) -> None:
    """To three of 255: products are rounded, and another version of torch, or processor, rounds differently."""
    now, before = (imageio.imread(path).astype(int) for path in (picture, OLD / then))
    assert now.shape == before.shape and np.abs(now - before).max() <= 3


class TestPictureFields:
    @pytest.mark.parametrize(("name", "mix"), [("picture", [".3", ".7"]), ("picture_fit", []), ("blend", [])])
    def test_open_and_look_as_they_did(self, old: Path, name: str, mix: list[str], tmp_path: Path):
        mix = ["--mix", *mix] if mix else []
        picture_command.main(["render", "--load", str(old / name), "--output", str(tmp_path / "now.png"), *SMALL, *mix])
        assert_looks_as_it_did(tmp_path / "now.png", f"{name}.png")


class TestObjectFields:
    def test_open_and_look_as_they_did(self, old: Path, tmp_path: Path):
        what = ["--frames", "1", "--mix", ".3", ".7", "--pictures", "rgb", "normals"]
        object_command.main(["render", "--load", str(old / "object"), "--output", str(tmp_path), *SMALL, *what])
        for name in ("rgb", "normals"):
            assert_looks_as_it_did(tmp_path / f"000_{name}.png", f"object_{name}.png")


class TestScenes:
    def test_a_finished_run_opens_as_ns_render_opens_it_and_looks_as_it_did(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """To rounding where samples lay then; nearly so where they lie since pictures have places of their own."""
        from nerfstudio.utils.eval_utils import eval_setup

        from ins3d.plugin.rays.field_along_rays import FieldAlongRays

        _, pipeline, _, step = eval_setup(run / "config.yml", test_mode="test")
        assert step == 179 and pipeline.model.controls.names == ("default_style",)
        camera = pipeline.datamanager.eval_dataset.cameras[:1]
        camera.rescale_output_resolution(48 / 320)
        with torch.no_grad():
            here = pipeline.to("cpu").model.get_outputs_for_camera(camera.to("cpu"))
            monkeypatch.setattr(FieldAlongRays, "has_places", False)
            outputs = pipeline.model.get_outputs_for_camera(camera.to("cpu"))
        imageio.imwrite(tmp_path / "now.png", (outputs["rgb"].clamp(0, 1) * 255).round().byte().numpy())
        assert_looks_as_it_did(tmp_path / "now.png", "scene.png")
        np.testing.assert_allclose(outputs["depth"].numpy(), np.load(OLD / "scene_depth.npy"), rtol=5e-3)
        assert 28 < psnr(here["rgb"].clamp(0, 1), outputs["rgb"].clamp(0, 1)) < 60

    def test_its_content_can_be_painted_anew(self, run: Path):
        from ins3d.plugin.content_checkpoint import load_content
        from ins3d.plugin.contents.content import build_content
        from ins3d.plugin.ray_content import PlanesSettings

        content = load_content(run / "content.ckpt")
        assert content.settings == PlanesSettings((8, 16), 4, num_proposal_samples=(24,), num_samples=8)
        build_content(content.settings).load_state_dict(content.state)

    def test_its_style_can_be_added_to(self, run: Path):
        from ins3d.plugin.style_checkpoint import load_styles

        kept = load_styles(run)
        assert kept.styles == (DEFAULT_STYLE,) and kept.settings.style_field.resolutions == (8, 16)
        assert kept.content == run / "content.ckpt"

    def test_a_style_is_added_to_it_and_its_own_stays(self, run: Path, tmp_path: Path):
        from ins3d.plugin.finished.scenes import open_scene, paint_scene

        config = short_run(tmp_path)
        config.pipeline.style_checkpoint = run
        config.pipeline.model.styles = (str(negative(tmp_path)),)
        scene, before = paint_scene(config), open_scene(run)
        assert scene.styles == ("default_style", "negative")
        for name, value in before.pipeline.model.stylized.state_dict().items():
            if "columns.0" in name:
                assert torch.equal(scene.pipeline.model.stylized.state_dict()[name], value)
        camera = scene.cameras[0]
        camera.rescale_output_resolution(48 / 144)
        assert torch.equal(scene.render(camera, Mix((1.0, 0.0))), before.render(camera, Mix((1.0,))))

    def test_its_content_is_painted_in_another_style(self, run: Path, tmp_path: Path):
        from ins3d.plugin.finished.scenes import open_scene, paint_scene

        config = short_run(tmp_path)
        config.pipeline.content_checkpoint = run / "config.yml"
        scene, before = paint_scene(config), open_scene(run)
        content = scene.pipeline.model.ray_content.state_dict()
        for name, value in before.pipeline.model.ray_content.state_dict().items():
            assert torch.equal(content[name], value), name

    def test_training_goes_on_from_its_checkpoint(self, run: Path, tmp_path: Path):
        from nerfstudio.engine.trainer import Trainer

        trainer = longer(run, tmp_path)
        assert isinstance(trainer, Trainer)
        trainer.train()
        assert trainer.step == 189 and bool(trainer.pipeline.model.is_stylized)


def short_run(output: Path) -> Any:
    """`ns-train ins-stylize` on the scene of the old run, two steps long."""
    from ins3d.plugin.finished.scenes import scene_config

    config = scene_config(ROOT / "scenes" / "still_life")
    config.output_dir, config.machine.device_type = output, "cpu"
    config.pipeline.style_steps, config.pipeline.patches.max_rays = 2, 25_000
    config.pipeline.datamanager.size = 144  # of the pictures that the old run had
    return config


def negative(folder: Path) -> Path:
    """A style picture."""
    imageio.imwrite(folder / "negative.png", 255 - imageio.imread(DEFAULT_STYLE)[..., :3])
    return folder / "negative.png"


def longer(run: Path, output: Path) -> Any:
    """`ns-train` with the run's own settings, ten style steps more, and --load-dir."""
    import yaml

    from ins3d.plugin.saved_runs import upgrade

    config = yaml.load((run / "config.yml").read_text(), Loader=yaml.Loader)
    config.load_dir, config.output_dir, config.machine.device_type = run / "nerfstudio_models", output, "cpu"
    upgrade(config.pipeline)
    config.pipeline.style_steps += 10
    config.pipeline.patches.max_rays = 30_000  # of larger pictures than it had
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer
