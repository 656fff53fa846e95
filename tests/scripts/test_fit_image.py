"""The script that optimises pixels, from flags to files."""

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fit_image", ROOT / "scripts" / "fit_image.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def flags(tmp_path: Path, tiny_vgg: Callable[..., dict[str, Tensor]]) -> list[str]:
    """Those that both subcommands share."""
    torch.save(tiny_vgg(last=19), tmp_path / "tiny.pth")
    random = np.random.default_rng(0)
    imageio.imwrite(tmp_path / "style.png", random.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    imageio.imwrite(tmp_path / "content.png", np.full((60, 80, 3), 90, dtype=np.uint8))
    output = ["--output", str(tmp_path / "out"), "--device", "cpu", "--perceptual-weights", str(tmp_path / "tiny.pth")]
    return [*output, "--styles", str(tmp_path / "style.png"), "--size", "48"]


@pytest.fixture
def content(tmp_path: Path) -> list[str]:
    return ["--content", str(tmp_path / "content.png")]


def refusal(script: ModuleType, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        script.main(list(arguments))
    return str(stop.value)


class TestGatys:
    def test_writes_picture_curve_and_record(self, script, flags, content, tmp_path, capsys):
        losses = ["--style-loss", "gram", "nnfm:0.3", "--style-layers", "relu1_1", "relu2_1", "--tv-weight", "0.1"]
        script.main(["gatys", *flags, *content, *losses, "--steps", "6"])
        assert imageio.imread(tmp_path / "out" / "picture.png").shape == (36, 48, 3)
        with (tmp_path / "out" / "loss.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["step", "seconds", "total", "content_loss", "gram_loss", "nnfm_loss", "tv_loss"]
        assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
        assert imageio.imread(tmp_path / "out" / "loss.png").shape[0] > 100
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert record["settings"]["style_loss"] == ["gram", "nnfm:0.3"]
        assert record["encoder"] == "vgg19, average pooling from tiny.pth, found in the setting perceptual-weights"
        assert record["last"]["step"] == 6 and "commit" in record
        assert "vgg19, average pooling from tiny.pth" in " ".join(capsys.readouterr().out.split())

    def test_writes_the_picture_as_it_goes(self, script, flags, content, tmp_path, monkeypatch):
        times = []
        monkeypatch.setattr(script, "WRITE_EVERY", 2)
        monkeypatch.setattr(script, "write_rgb", lambda path, picture: times.append((path.name, tuple(picture.shape))))
        script.main(["gatys", *flags, *content, "--steps", "5", "--colors", "content"])
        assert times == [("picture.png", (3, 36, 48))] * 3

    def test_leaves_what_was_reached_when_it_is_stopped_by_hand(self, script, flags, content, tmp_path, monkeypatch):
        def stopped(content, style, features, settings, report):
            report(1, {"total": 1.0}, lambda: content)
            raise KeyboardInterrupt

        monkeypatch.setattr(script, "gatys", stopped)
        assert refusal(script, "gatys", *flags, *content) == "130"
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"picture.png", "loss.csv", "loss.png", "run.json"}

    def test_starts_at_half_the_size_when_that_says_something(self, script):
        assert script.Gatys(size=96, steps=9).pixel_settings().long_sides == (48, 96)
        assert script.Gatys(size=95, steps=9).pixel_settings().long_sides == (95,)
        assert script.Texture(size=191, steps=9).pixel_settings(scales=(1, 2)).long_sides == (191,)
        assert script.Texture(size=192, steps=9).pixel_settings(scales=(1, 2)).long_sides == (96, 192)
        assert script.Gatys(size=96, steps=1).pixel_settings().long_sides == (96,)

    def test_default_pictures_are_there(self, script):
        assert script.Gatys().content.is_file() and script.Gatys().styles.is_file()

    def test_same_seed_same_picture(self, script, flags, content, tmp_path):
        pictures = []
        for _ in range(2):
            script.main(["gatys", *flags, *content, "--style-loss", "swd", "--steps", "3", "--optimizer", "adam"])
            pictures.append((tmp_path / "out" / "picture.png").read_bytes())
        assert pictures[0] == pictures[1]


class TestTexture:
    def test_writes_a_picture_of_the_size_asked_for(self, script, flags, tmp_path):
        script.main(["texture", *flags, "--steps", "4", "--height", "32", "--width", "56"])
        assert imageio.imread(tmp_path / "out" / "picture.png").shape == (32, 56, 3)
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert "average pooling" in record["encoder"] and "content_loss" not in record["last"]


class TestRefusals:
    @pytest.mark.parametrize("flag", ["content", "styles"])
    def test_of_a_picture_that_is_missing(self, script, flags, content, tmp_path, flag):
        missing = ["--content", str(tmp_path / "no.png")] if flag == "content" else content
        if flag == "styles":
            missing = [*missing, "--styles", str(tmp_path / "no.png")]
        said = refusal(script, "gatys", *flags, *missing)
        assert said == f"{flag}: {tmp_path}/no.png does not exist; give the path of a picture (png, jpg, webp, tiff)."

    def test_of_text_that_is_named_png(self, script, flags, tmp_path):
        (tmp_path / "text.png").write_text("this is no picture")
        said = refusal(script, "gatys", *flags, "--content", str(tmp_path / "text.png"))
        assert said == f"content: {tmp_path}/text.png is not a picture that can be read; save it as png or jpg."

    def test_of_a_single_pixel(self, script, flags, content, tmp_path):
        imageio.imwrite(tmp_path / "dot.png", np.zeros((1, 1, 3), dtype=np.uint8))
        said = refusal(script, "texture", *flags, "--styles", str(tmp_path / "dot.png"))
        assert said == f"styles: {tmp_path}/dot.png is 1x1 pixels; use a picture of at least 16 pixels a side."

    def test_of_a_size_too_small_for_the_layers(self, script, flags, content):
        said = refusal(script, "gatys", *flags, *content, "--size", "20")
        assert said.startswith("content: 20x15 pixels are too few for the encoder's deepest layer, which needs 16 a side;")

    def test_of_a_loss_that_there_is_not(self, script, flags, content):
        said = refusal(script, "gatys", *flags, *content, "--style-loss", "grams")
        assert said.startswith("style-loss: there is no 'grams'; choose among gram, ")

    def test_of_layers_that_the_weights_do_not_reach(self, script, flags, content):
        said = refusal(script, "gatys", *flags, *content, "--content-layers", "relu4_2")
        assert "features.21.weight is missing (the file ends at features.19); use deeper weights." in said

    def test_of_an_output_that_is_a_file(self, script, flags, content, tmp_path):
        said = refusal(script, "gatys", *flags, *content, "--output", str(tmp_path / "style.png"))
        assert said == f"output: {tmp_path}/style.png is a file; name a folder."

    def test_of_weights_that_are_missing(self, script, flags, content, tmp_path):
        said = refusal(script, "gatys", *flags, *content, "--perceptual-weights", str(tmp_path / "no.pth"))
        assert said == f"perceptual-weights: {tmp_path}/no.pth is not a file; give VGG weights as .pth or .safetensors."

    @pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
    def test_of_a_gpu_that_there_is_not(self, script, flags, content):
        said = refusal(script, "gatys", *flags, *content, "--device", "cuda")
        assert said == "device: cuda was asked for and torch sees no GPU; use cpu."
