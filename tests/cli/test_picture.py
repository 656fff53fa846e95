"""The script that makes pictures from pictures, from flags to files."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from torch import Tensor

import ins3d.cli.picture
from ins3d.pictures import commands, pixel_commands
from ins3d.pictures.checkpoint import load_field
from ins3d.pictures.content import PlanesPicture
from ins3d.runs import record

SHALLOW = ["--style-layers", "relu1_1", "relu2_1", "--content-layers", "relu2_1"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return ins3d.cli.picture


@pytest.fixture
def flags(tmp_path: Path, tiny_vgg: Callable[..., dict[str, Tensor]]) -> list[str]:
    """Those that both subcommands share."""
    torch.save(tiny_vgg(last=19), tmp_path / "tiny.pth")
    random = np.random.default_rng(0)
    imageio.imwrite(tmp_path / "style.png", random.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    output = ["--output", str(tmp_path / "out"), "--device", "cpu", "--perceptual-weights", str(tmp_path / "tiny.pth")]
    return [*output, "--styles", str(tmp_path / "style.png"), "--size", "48"]


@pytest.fixture
def second_style(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    picture = np.kron(random.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((5, 5, 1), dtype=np.uint8))
    imageio.imwrite(tmp_path / "second.png", picture)
    return tmp_path / "second.png"


@pytest.fixture
def content(tmp_path: Path) -> list[str]:
    rows, columns = np.meshgrid(np.arange(60), np.arange(80), indexing="ij")
    waves = [90 + 60 * np.sin(rows / 9 + columns / share) for share in (7, 11, 13)]
    imageio.imwrite(tmp_path / "content.png", np.stack(waves, axis=-1).astype(np.uint8))
    return ["--content", str(tmp_path / "content.png")]


def refusal(script: ModuleType, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        script.main(list(arguments))
    return str(stop.value)


def stopped_after_four_steps(script: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-C."""
    went_on = record.PictureRecord.__call__

    def stopping(record, step, losses, picture):
        went_on(record, step, losses, picture)
        if step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record.PictureRecord, "__call__", stopping)
        assert refusal(script, *arguments) == "130"


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
        monkeypatch.setattr(pixel_commands, "WRITE_EVERY", 2)
        monkeypatch.setattr(record, "write_rgb", lambda path, picture: times.append((path.name, tuple(picture.shape))))
        script.main(["gatys", *flags, *content, "--steps", "5", "--colors", "content"])
        assert times == [("picture.png", (3, 36, 48))] * 3

    def test_leaves_what_was_reached_when_it_is_stopped_by_hand(self, script, flags, content, tmp_path, monkeypatch):
        def stopped(content, style, features, settings, report):
            report(1, {"total": 1.0}, lambda: content)
            raise KeyboardInterrupt

        monkeypatch.setattr(pixel_commands, "gatys", stopped)
        assert refusal(script, "gatys", *flags, *content) == "130"
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"picture.png", "loss.csv", "loss.png", "run.json"}

    def test_starts_at_half_the_size_when_that_says_something(self, script):
        assert script.Gatys(size=96, steps=9).pixel_settings().long_sides == (48, 96)
        assert script.Gatys(size=95, steps=9).pixel_settings().long_sides == (95,)
        assert script.Texture(size=191, steps=9).pixel_settings().long_sides == (191,)  # seen at half its size too
        assert script.Texture(size=192, steps=9).pixel_settings().long_sides == (96, 192)
        assert script.Gatys(size=96, steps=1).pixel_settings().long_sides == (96,)

    def test_default_pictures_are_there(self, script):
        for kind in (script.Gatys, script.Stylize, script.Blend):
            assert kind().content.is_file() and all(Path(style).is_file() for style in kind().styles)

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


class TestFields:
    """Fields from the command line: each of the four subcommands, with a tiny encoder and tiny pictures."""

    @pytest.fixture
    def fitted(self, script, content, tmp_path, capsys) -> Path:  # capsys: what is said now is for the test to read
        script.main(["fit", *content, "--output", str(tmp_path / "fit"), "--size", "48", "--steps", "60", "--device", "cpu"])
        return tmp_path / "fit"

    @pytest.fixture
    def stylized(self, script, flags, content, fitted, second_style, tmp_path, capsys) -> Path:
        more = ["--fit", str(fitted), "--steps", "5", *SHALLOW, "--styles", str(tmp_path / "style.png"), str(second_style)]
        script.main(["stylize", *flags, *content, *more])
        return tmp_path / "out"

    def test_fit_writes_a_field_and_says_how_near_it_is(self, fitted, capsys):
        assert {path.name for path in fitted.iterdir()} == {
            "field.json", "field.safetensors", "training.pt", "picture.png", "loss.csv", "loss.png", "run.json"
        }  # fmt: skip
        said = " ".join(capsys.readouterr().out.split())
        psnr = float(re.search(r"PSNR ([\d.]+) dB", said)[1])
        assert psnr > 25
        assert imageio.imread(fitted / "picture.png").shape == (36, 48, 3)
        record = json.loads((fitted / "run.json").read_text())
        assert record["last"]["step"] == 60 and record["psnr"] == pytest.approx(psnr, abs=0.01)

    def test_stylize_paints_all_styles_and_says_how_near_the_first_is(self, stylized, capsys):
        assert "Gram distance to style: " in " ".join(capsys.readouterr().out.split())
        field, spec = load_field(stylized, "load", torch.device("cpu"))
        assert spec.styles == ("style", "second") and len(field.style_features.columns) == 2
        assert json.loads((stylized / "run.json").read_text())["last"]["step"] == 7  # 5, and 45 % of them for the second

    def test_stylize_fits_first_when_there_is_no_fit(self, script, flags, content, tmp_path, monkeypatch):
        monkeypatch.setattr(PlanesPicture, "fit_steps", 3)
        script.main(["stylize", *flags, *content, "--steps", "2", *SHALLOW])
        assert load_field(tmp_path / "out" / "fit", "load", torch.device("cpu"))[1].kind == "fit"

    def test_stylize_with_patches(self, script, flags, content, fitted, tmp_path):
        script.main(["stylize", *flags, *content, "--fit", str(fitted), "--steps", "3", "--patches.size", "18", *SHALLOW])
        assert imageio.imread(tmp_path / "out" / "picture.png").shape == (36, 48, 3)

    @pytest.mark.parametrize("network", ["siren", "fourier"])
    def test_other_networks_are_fitted_and_painted_too(self, script, flags, content, tmp_path, network, monkeypatch):
        monkeypatch.setattr(commands, "LEAST_PSNR", 0.0)
        fit = ["fit", *content, "--output", str(tmp_path / "fit"), "--size", "48", "--steps", "3", "--network", network]
        script.main(fit)
        script.main(["stylize", *flags, *content, "--fit", str(tmp_path / "fit"), "--steps", "2", *SHALLOW])
        field, spec = load_field(tmp_path / "out", "load", torch.device("cpu"))
        assert spec.network == network and type(field.content).__name__ == f"{network.capitalize()}Picture"

    def test_the_papers_blend_goes_on_beyond_the_picture(self, script, flags, content, tmp_path):
        script.main(["blend", *flags, *content, "--network", "harmonic", "--fit-steps", "2", "--steps", "1", *SHALLOW])
        wide = self.render(script, tmp_path / "out", "wide.png", "--window", "-.5", "0", "1.5", "1", "--size", "96")
        assert wide.shape == (36, 96, 3) and wide[:, :12].std(1).mean() > 0

    def test_blend_writes_a_field(self, script, flags, content, tmp_path):
        script.main(["blend", *flags, *content, "--fit-steps", "4", "--steps", "3", *SHALLOW])
        assert load_field(tmp_path / "out", "load", torch.device("cpu"))[1].kind == "blend"
        with (tmp_path / "out" / "loss.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [bool(row["gram_loss"]) for row in rows] == [False] * 4 + [True] * 3

    def render(self, script, folder: Path, name: str, *arguments: str) -> np.ndarray:
        script.main(["render", "--load", str(folder), "--output", str(folder / name), "--device", "cpu", *arguments])
        return imageio.imread(folder / name) if name.endswith("png") else imageio.imread(folder / name, index=None)

    def test_render_any_size_part_mix_and_strength(self, script, stylized, fitted):
        assert self.render(script, stylized, "large.png", "--size", "96").shape == (72, 96, 3)
        whole = self.render(script, stylized, "whole.png")
        part = self.render(script, stylized, "part.png", "--window", ".5", "0", "1", ".5", "--size", "24")
        assert np.array_equal(part, whole[:18, 24:])
        other = self.render(script, stylized, "other.png", "--mix", "0", "1")
        assert np.abs(other.astype(int) - whole).max() > 5
        plain = self.render(script, stylized, "plain.png", "--strength", "0")
        assert np.array_equal(plain, self.render(script, fitted, "fit.png"))

    def test_render_strength_by_place(self, script, stylized, tmp_path):
        whole, plain = (self.render(script, stylized, "a.png", "--strength", strength) for strength in ("1", "0"))
        mask = np.zeros((9, 12), dtype=np.uint8)
        mask[:, 6:] = 255
        imageio.imwrite(tmp_path / "mask.png", np.kron(mask, np.ones((4, 4), dtype=np.uint8)))
        masked = self.render(script, stylized, "b.png", "--mask", str(tmp_path / "mask.png"))
        assert np.array_equal(masked[:, :24], plain[:, :24]) and np.array_equal(masked[:, 24:], whole[:, 24:])
        banded = self.render(script, stylized, "c.png", "--bands", "1", "0")
        assert np.array_equal(banded[:, :24], whole[:, :24]) and np.array_equal(banded[:, 24:], plain[:, 24:])
        mapped = self.render(script, stylized, "d.png", "--strength-map", str(tmp_path / "mask.png"))
        assert np.array_equal(mapped[:, :23], plain[:, :23]) and np.array_equal(mapped[:, 25:], whole[:, 25:])
        graded = self.render(script, stylized, "e.png", "--gradation", "vertical").astype(int)
        near = [
            np.abs(graded[rows] - picture[rows]).mean() for rows, picture in ((slice(0, 2), plain), (slice(-2, None), whole))
        ]
        assert max(near) < 0.2 * np.abs(whole.astype(int) - plain).mean() + 0.5

    def test_render_animations(self, script, stylized):
        for name in ("a.mp4", "a.gif"):
            frames = self.render(script, stylized, name, "--frames", "4")
            assert frames.shape[:3] == (4, 36, 48)
            assert np.abs(frames[0].astype(int) - frames[2]).max() > 5  # the first style, the second

    def test_render_along_keyframes(self, script, stylized, fitted):
        """From the content to the second style."""
        frames = self.render(script, stylized, "k.gif", "--frames", "3", "--keyframes", "0:1,0@0", "1:0,1@1").astype(int)
        content = self.render(script, fitted, "content.png").astype(int)
        second = self.render(script, stylized, "second.png", "--mix", "0", "1").astype(int)
        apart = [[np.abs(frame - picture).mean() for picture in (content, second)] for frame in frames]
        # A GIF has few colours, but the first and the last frame are those pictures; the middle lies between them.
        far = np.abs(content - second).mean()
        assert apart[0][0] < 0.2 * far and apart[2][1] < 0.2 * far
        assert all(0.2 * far < distance < 0.9 * far for distance in apart[1])

    def test_a_style_of_two_pictures_and_a_part(self, script, flags, content, fitted, second_style, tmp_path):
        word = f"both={tmp_path}/style.png@0,0,1,.5+{second_style}"
        more = ["--fit", str(fitted), "--steps", "2", *SHALLOW]
        script.main(["stylize", *flags, *content, *more, "--styles", word])
        assert load_field(tmp_path / "out", "load", torch.device("cpu"))[1].styles == ("both",)

    def test_the_style_is_looked_at_in_a_size_of_its_own(self, script, flags, content, fitted, tmp_path):
        """By default in a share of the picture's, 64 pixels at least."""
        totals = []
        for size in ([], ["--style-size", "64"], ["--style-size", "32"]):
            script.main(["stylize", *flags, *content, "--fit", str(fitted), "--steps", "1", *SHALLOW, *size])
            with (tmp_path / "out" / "loss.csv").open() as file:
                totals.append(float(next(csv.DictReader(file))["total"]))
        assert totals[0] == totals[1] != totals[2]

    def test_a_stopped_run_is_usable_and_resumed_where_it_was(self, script, flags, content, fitted, tmp_path, monkeypatch):
        arguments = ["stylize", *flags, *content, "--fit", str(fitted), "--steps", "6", *SHALLOW]
        script.main(arguments)
        undisturbed = (tmp_path / "out" / "picture.png").read_bytes()
        with (tmp_path / "out" / "loss.csv").open() as file:
            all_rows = [row["total"] for row in csv.DictReader(file)]

        stopped_after_four_steps(script, arguments, monkeypatch)
        assert self.render(script, tmp_path / "out", "reached.png").shape == (36, 48, 3)
        assert json.loads((tmp_path / "out" / "run.json").read_text())["last"]["step"] == 4
        script.main([*arguments, "--resume"])
        assert (tmp_path / "out" / "picture.png").read_bytes() == undisturbed
        with (tmp_path / "out" / "loss.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6] and [row["total"] for row in rows] == all_rows

    def test_a_run_that_was_stopped_while_it_fitted_the_picture_is_resumed_there(
        self, script, flags, content, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(PlanesPicture, "fit_steps", 6)
        arguments = ["stylize", *flags, *content, "--steps", "3", *SHALLOW]
        script.main(arguments)
        undisturbed = (tmp_path / "out" / "picture.png").read_bytes()
        stopped_after_four_steps(script, arguments, monkeypatch)
        script.main([*arguments, "--resume"])
        assert (tmp_path / "out" / "picture.png").read_bytes() == undisturbed
        with (tmp_path / "out" / "fit" / "loss.csv").open() as file:
            assert [int(row["step"]) for row in csv.DictReader(file)] == [1, 2, 3, 4, 5, 6]

    def test_a_finished_run_that_is_resumed_stays_what_it_was(
        self, script, flags, content, stylized, second_style, tmp_path
    ):
        before = load_field(stylized, "load", torch.device("cpu"))[0].state_dict()
        more = ["--fit", str(tmp_path / "fit"), "--steps", "5", *SHALLOW, "--mix", "0", "1", "--resume"]
        script.main(["stylize", *flags, *content, *more, "--styles", str(tmp_path / "style.png"), str(second_style)])
        after = load_field(stylized, "load", torch.device("cpu"))[0].state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        assert np.array_equal(
            imageio.imread(stylized / "picture.png"), self.render(script, stylized, "second.png", "--mix", "0", "1")
        )

    def test_a_fit_of_another_size_serves_as_well(self, script, flags, content, tmp_path):
        fit = ["fit", *content, "--output", str(tmp_path / "fit"), "--size", "64", "--steps", "40"]
        script.main(fit)
        script.main(["stylize", *flags, *content, "--fit", str(tmp_path / "fit"), "--steps", "2", *SHALLOW])
        plain = self.render(script, tmp_path / "out", "plain.png", "--strength", "0")
        assert np.array_equal(plain, self.render(script, tmp_path / "fit", "fit.png", "--size", "48"))

    def test_a_grey_picture_is_painted_without_coloured_noise(self, script, flags, tmp_path, monkeypatch):
        monkeypatch.setattr(PlanesPicture, "fit_steps", 200)
        rows, columns = np.meshgrid(np.arange(60), np.arange(80), indexing="ij")
        imageio.imwrite(tmp_path / "grey.png", (120 + 60 * np.sin(rows / 9 + columns / 7)).astype(np.uint8))
        script.main(["stylize", *flags, "--content", str(tmp_path / "grey.png"), "--steps", "2", *SHALLOW])
        painted = imageio.imread(tmp_path / "out" / "picture.png").astype(float)
        hue = painted[..., 0] - painted[..., 2]
        smooth = np.abs(np.diff(hue, axis=1)).mean()
        assert smooth < 6

    def test_what_is_transparent_in_a_mask_is_not_painted(self, script, stylized, tmp_path):
        mask = np.full((36, 48, 4), 255, dtype=np.uint8)
        mask[:, :24, 3] = 0
        imageio.imwrite(tmp_path / "cut.png", mask)
        masked = self.render(script, stylized, "a.png", "--mask", str(tmp_path / "cut.png"))
        plain = self.render(script, stylized, "b.png", "--strength", "0")
        assert np.array_equal(masked[:, :24], plain[:, :24]) and not np.array_equal(masked, plain)

    def test_same_seed_same_picture(self, script, flags, content, fitted, tmp_path):
        pictures = []
        for seed in ("1", "1", "2"):
            script.main(["stylize", *flags, *content, "--fit", str(fitted), "--steps", "3", "--seed", seed, *SHALLOW])
            pictures.append((tmp_path / "out" / "picture.png").read_bytes())
        assert pictures[0] == pictures[1] != pictures[2]


def test_what_each_subcommand_says_of_itself_is_that_of_the_golden_file(script, assert_golden):
    assert_golden(script, "fit_image_help.txt")


class TestRefusals:
    @pytest.mark.parametrize("flag", ["content", "styles"])
    def test_of_a_picture_that_is_missing(self, script, flags, content, tmp_path, flag):
        missing = ["--content", str(tmp_path / "no.png")] if flag == "content" else content
        if flag == "styles":
            missing = [*missing, "--styles", str(tmp_path / "no.png")]
        said = refusal(script, "gatys", *flags, *missing)
        give = "the path of a picture" if flag == "content" else "paths of pictures"
        more = "" if flag == "content" else ", or a folder of them"
        assert said == f"{flag}: {tmp_path}/no.png does not exist; give {give} (png, jpg, webp, tiff){more}."

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
        assert said.startswith("style-loss: there is no 'grams' (did you mean gram?); choose among content, gram, ")

    def test_of_layers_that_the_weights_do_not_reach(self, script, flags, content):
        said = refusal(script, "gatys", *flags, *content, "--content-layers", "relu4_2")
        assert "features.21.weight is missing (the file ends at features.19); use deeper weights." in said

    def test_of_an_output_that_is_a_file(self, script, flags, content, tmp_path):
        said = refusal(script, "gatys", *flags, *content, "--output", str(tmp_path / "style.png"))
        assert said == f"output: {tmp_path}/style.png is a file; name a folder."

    def test_of_weights_that_are_missing(self, script, flags, content, tmp_path):
        said = refusal(script, "gatys", *flags, *content, "--perceptual-weights", str(tmp_path / "no.pth"))
        assert said == f"perceptual-weights: {tmp_path}/no.pth does not exist; give the file of the network's weights."

    @pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
    def test_of_a_gpu_that_there_is_not(self, script, flags, content):
        said = refusal(script, "gatys", *flags, *content, "--device", "cuda")
        assert said == "device: cuda was asked for and torch sees no GPU; use cpu."

    def test_of_two_styles_where_there_is_one(self, script, flags, content, second_style, tmp_path):
        two = ["--styles", str(tmp_path / "style.png"), str(second_style)]
        for name, what in (("gatys", "pixels take one"), ("texture", "pixels take one"), ("blend", "blend takes one")):
            more = content if name != "texture" else []
            said = refusal(script, name, *flags, *more, *two)
            given = "2 pictures or a mask" if name != "blend" else "2"
            assert said == f"styles: {given} were given; {what}, stylize takes several{', and masks' * (name != 'blend')}."

    def test_of_a_mix_before_anything_is_trained(self, script, flags, content, tmp_path):
        said = refusal(script, "stylize", *flags, *content, "--mix", "1", "2")
        assert said == "mix: 2 weights for 1 styles; give one for each of style."
        said = refusal(script, "stylize", *flags, *content, "--strength", "2")
        assert said == "strength: 2 is outside 0 (the content) to 1 (full style)."
        assert not (tmp_path / "out").exists()

    def test_of_the_same_style_twice(self, script, flags, content, tmp_path):
        said = refusal(script, "stylize", *flags, *content, "--styles", *[str(tmp_path / "style.png")] * 2)
        assert said == f"styles: {tmp_path}/style.png is given twice; give every picture once."

    def test_of_patches_larger_than_the_picture(self, script, flags, content):
        said = refusal(script, "stylize", *flags, *content, "--patches.size", "30", "--patches.strides", "1", "2", *SHALLOW)
        assert said == (
            "patches.size / patches.strides: a patch of 30 rays at stride 2 covers 60 pixels, more than the 48x36 picture "
            "has; use a stride of 1 or less."
        )

    def test_of_something_that_is_no_fit(self, script, flags, content, tmp_path):
        said = refusal(script, "stylize", *flags, *content, "--fit", str(tmp_path), *SHALLOW)
        assert said == f"fit: there is no field.json in {tmp_path}; give the output folder of fit, stylize or blend."

    def test_of_a_size_that_is_none(self, script, content, tmp_path):
        said = refusal(script, "fit", *content, "--size", "3", "--output", str(tmp_path / "out"))
        assert said == "size: 3 is too little; use 16 or more."

    def test_of_nothing_to_resume(self, script, content, tmp_path):
        said = refusal(script, "fit", *content, "--resume", "--output", str(tmp_path / "out"))
        assert said == f"resume: there is no training.pt in {tmp_path}/out; leave out --resume, or name its output."

    def test_of_files_that_render_cannot_write(self, script, content, tmp_path):
        fit = ["--output", str(tmp_path / "fit"), "--size", "16", "--steps", "1"]
        script.main(["fit", *content, *fit])
        for name, said in (
            ("a.bmp", f"output: {tmp_path}/a.bmp is no .png, .mp4 or .gif; name the file to write."),
            ("a.mp4", f"load: {tmp_path}/fit holds a picture without a style, which does not move; write a .png."),
        ):
            assert refusal(script, "render", "--load", str(tmp_path / "fit"), "--output", str(tmp_path / name)) == said

    def test_of_strengths_outside_0_to_1(self, script, content, tmp_path):
        script.main(["fit", *content, "--output", str(tmp_path / "fit"), "--size", "16", "--steps", "1"])
        said = refusal(script, "render", "--load", str(tmp_path / "fit"), "--bands", ".5", "2")
        assert said == "bands: 2.0 is too much; use 1 or less."

    def test_of_a_fit_of_another_picture(self, script, flags, content, tmp_path):
        fit = ["fit", "--content", str(tmp_path / "style.png"), "--output", str(tmp_path / "fit"), "--size", "48"]
        script.main([*fit, "--steps", "1"])
        said = refusal(script, "stylize", *flags, *content, "--fit", str(tmp_path / "fit"), *SHALLOW)
        assert re.fullmatch(
            rf"fit: {tmp_path}/fit is [\d.]+ dB from {tmp_path}/content.png, less than 20; give the folder of a fit of that "
            "picture, or leave it out.",
            said,
        )

    @pytest.mark.parametrize(
        "name, value, said",
        [
            ("steps", "0", "steps: 0 is too little; use 1 or more."),
            ("content-weight", "-1", "content-weight: -1.0 is too little; use 0 or more."),
            ("patches.strides", "0", "patches.strides: 0 is too little; use 1 or more."),
            ("style-scales", "2", "style-scales: (2,) must hold 1, the pictures as they are, or more; use 1 2 4."),
            ("patches.size", "4", "patches.size: 4 places are too few for the encoder's deepest layer, which needs 16 a "
             "side; use more, or style and content layers less deep."),
            ("style-loss", "gram:0", "style-loss: every weight is 0; give one of them a weight above 0."),
        ],
    )  # fmt: skip
    def test_of_numbers_that_mean_nothing_before_anything_is_written(
        self, script, flags, content, tmp_path, name: str, value: str, said: str
    ):
        assert refusal(script, "stylize", *flags, *content, f"--{name}", value) == said
        assert not (tmp_path / "out").exists()

    def test_of_render_settings_without_effect(self, script, content, tmp_path):
        script.main(["fit", *content, "--output", str(tmp_path / "fit"), "--size", "16", "--steps", "1"])
        said = refusal(script, "render", "--load", str(tmp_path / "fit"), "--strength", ".5")
        assert said == (
            f"strength: {tmp_path}/fit holds a picture without a style, of which there is no more or less; name the output "
            "of stylize or blend."
        )
        said = refusal(script, "render", "--load", str(tmp_path / "fit"), "--size", "-5")
        assert said == "size: -5 is too little; use 1 or more."

    def test_of_keyframes_where_nothing_moves_or_a_mix_is_given_too(self, script, flags, content, tmp_path):
        script.main(["blend", *flags, *content, "--fit-steps", "1", "--steps", "1", *SHALLOW])
        render = ["render", "--load", str(tmp_path / "out"), "--keyframes", "0:1@0", "1:1", "--output"]
        said = refusal(script, *render, str(tmp_path / "a.png"))
        assert said == "keyframes: a .png shows one mix; write an .mp4 or .gif, or give mix and strength instead."
        said = refusal(script, *render, str(tmp_path / "a.gif"), "--strength", ".5")
        assert said == "keyframes: mix, strength or at-stroke-size is given too; say them in the keyframes."
        said = refusal(script, *render, str(tmp_path / "a.gif"), "--keyframes", "2:1")
        assert said == "keyframes: the time of '2:1' is outside 0 (the first frame) to 1 (the last)."
        assert not (tmp_path / "a.gif").exists()
        script.main(["fit", *content, "--output", str(tmp_path / "fit"), "--size", "16", "--steps", "1"])
        said = refusal(script, "render", "--load", str(tmp_path / "fit"), "--keyframes", "0:1")
        assert said.startswith(f"keyframes: {tmp_path}/fit holds a picture without a style")

    def test_of_a_mask_where_pixels_are_optimised(self, script, flags, content, tmp_path):
        masked = ["--styles", f"{tmp_path}/style.png@{tmp_path}/content.png"]
        said = refusal(script, "gatys", *flags, *content, *masked)
        assert said == "styles: 1 pictures or a mask were given; pixels take one, stylize takes several, and masks."

    def test_of_weights_of_0_where_pixels_are_optimised_before_anything_is_written(self, script, flags, content, tmp_path):
        said = refusal(script, "gatys", *flags, *content, "--style-loss", "gram:0")
        assert said == "style-loss: every weight is 0; give one of them a weight above 0."
        assert not (tmp_path / "out").exists()

    def test_of_the_styles_colours_where_there_is_no_map_for_them(self, script, flags, content, tmp_path):
        said = refusal(script, "blend", *flags, *content, "--colors", "style", *SHALLOW)
        assert said == "colors: a blend has no colour map; use none, or content, or stylize."
        assert not (tmp_path / "out").exists()

    def test_of_a_window_rule_that_there_is_not(self, script, flags, content, tmp_path):
        said = refusal(script, "stylize", *flags, *content, "--patches.size", "16", "--patches.rule", "square", *SHALLOW)
        assert said == "patches.rule: there is no 'square' (did you mean squares?); choose among squares, frames."

    def test_of_other_styles_in_a_resumed_run(self, script, flags, content, second_style, tmp_path, monkeypatch):
        monkeypatch.setattr(PlanesPicture, "fit_steps", 3)
        arguments = ["stylize", *flags, *content, "--steps", "1", *SHALLOW]
        script.main(arguments)
        said = refusal(script, *arguments, "--resume", "--styles", str(tmp_path / "style.png"), str(second_style))
        assert said.startswith("resume: styles was ('style',) and is now ('style', 'second'); resume with all that")


def test_a_log_gets_a_line_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(record, "LINES_EVERY", 0.0)
    with record.CONSOLE.capture() as shown, record.PictureRecord(tmp_path, 2, 10) as seen:
        seen(1, {"total": 0.5, "gram_loss": 0.25}, lambda: torch.zeros(3, 4, 4))
    assert "1/2  0 s  total 0.5 gram 0.25" in shown.get()


def test_a_curve_that_ends_at_nothing_is_drawn(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    """`coherence` alone is 0 as soon as strokes have enough direction, where a logarithm has no bottom."""
    with record.PictureRecord(tmp_path, 2, 10) as seen:
        for step, total in enumerate((0.5, 0.0)):
            seen(step, {"total": total, "coherence_loss": total}, lambda: torch.zeros(3, 4, 4))
        seen.end(torch.zeros(3, 4, 4))
    assert (tmp_path / "loss.png").is_file() and not [str(each.message) for each in recwarn if "ylim" in str(each.message)]
