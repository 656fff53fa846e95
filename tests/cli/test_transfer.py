"""`ins3d picture transfer` and `preview`, as users type them, with the networks that ship."""

import json
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ins3d.cli import picture
from ins3d.files.pictures import read_rgb
from ins3d.files.sequences import open_sequence
from ins3d.pictures.settings import DEFAULT_CONTENT
from ins3d.style.styles import DEFAULT_STYLE
from ins3d.transfer.methods import SHIPPED


def run(*words: Any) -> None:
    picture.main([str(word) for word in words])


def refused(*words: Any) -> str:
    with pytest.raises(SystemExit) as error:
        run(*words)
    return str(error.value)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photograph of an odd size."""
    path = tmp_path / "photo.png"
    imageio.imwrite(path, imageio.imread(DEFAULT_CONTENT)[:101, :131])
    return path


@pytest.fixture
def other_style(tmp_path: Path) -> Path:
    """Stripes."""
    pixels = np.full((90, 120, 3), (240, 230, 200), np.uint8)
    pixels[::9] = pixels[1::9] = (20, 30, 120)
    imageio.imwrite(tmp_path / "stripes.png", pixels)
    return tmp_path / "stripes.png"


class TestTransfer:
    @pytest.mark.parametrize("method", [path.stem for path in sorted(SHIPPED.glob("*.safetensors"))])
    def test_every_shipped_network_brings_a_picture_nearer_to_its_style(self, method, photo, tmp_path):
        run("transfer", "--method", method, "--content", photo, "--output", tmp_path / "out.png")
        painted, content, style = (read_rgb(path, "test") for path in (tmp_path / "out.png", photo, Path(DEFAULT_STYLE)))
        assert painted.shape == content.shape
        away, before = ((rgb.mean((1, 2)) - style.mean((1, 2))).norm() for rgb in (painted, content))
        assert away < 0.6 * before

    def test_masks_and_mixes_and_colours(self, photo, other_style, tmp_path):
        mask = np.zeros((101, 131), np.uint8)
        mask[:, :65] = 255
        imageio.imwrite(tmp_path / "left.png", mask)
        imageio.imwrite(tmp_path / "right.png", 255 - mask)
        common = ("transfer", "--content", photo, "--styles", DEFAULT_STYLE, other_style)
        made = {}
        for name, more in {
            "first": (), "second": ("--mix", 0, 1), "half": ("--mix", 1, 1), "weak": ("--strength", 0.3),
            "masked": ("--mask", tmp_path / "left.png", tmp_path / "right.png"), "own": ("--colors", "content"),
            "theirs": ("--colors", "style"),
        }.items():  # fmt: skip
            run(*common, *more, "--output", tmp_path / f"{name}.png")
            made[name] = read_rgb(tmp_path / f"{name}.png", "test")
        content, style = read_rgb(photo, "test"), read_rgb(Path(DEFAULT_STYLE), "test")
        between = [(made["half"] - made[end]).abs().mean() for end in ("first", "second")]
        assert max(between) < (made["first"] - made["second"]).abs().mean()
        left, right = (slice(None), slice(None), slice(0, 30)), (slice(None), slice(None), slice(100, None))
        assert (made["masked"] - made["first"])[left].abs().mean() < (made["masked"] - made["second"])[left].abs().mean()
        assert (made["masked"] - made["second"])[right].abs().mean() < (made["masked"] - made["first"])[right].abs().mean()
        assert (made["weak"] - content).abs().mean() < (made["first"] - content).abs().mean()

        def colours(rgb: torch.Tensor) -> torch.Tensor:
            return rgb.mean((1, 2))

        assert (colours(made["own"]) - colours(content)).norm() < 0.5 * (colours(made["first"]) - colours(content)).norm()
        torch.testing.assert_close(colours(made["theirs"]), colours(style), atol=0.03, rtol=0)

    def test_frames_become_a_film_or_a_folder(self, tmp_path):
        frames, shown = tmp_path / "frames", imageio.imread(DEFAULT_CONTENT)[:96, :120]
        frames.mkdir()
        for number in range(3):
            imageio.imwrite(frames / f"{number}.png", np.roll(shown, 2 * number, axis=1))
        run("transfer", "--content", frames, "--output", tmp_path / "film.mp4", "--calm", 0.5, "--fps", 10)
        assert imageio.get_reader(tmp_path / "film.mp4").count_frames() == 3
        run("transfer", "--content", tmp_path / "film.mp4", "--output", tmp_path / "again.mp4")
        assert imageio.get_reader(tmp_path / "again.mp4").get_meta_data()["fps"] == 10
        run("transfer", "--content", tmp_path / "film.mp4", "--output", tmp_path / "again")
        assert len(list((tmp_path / "again").glob("*.png"))) == 3
        imageio.imwrite(tmp_path / "one.gif", shown)
        run("transfer", "--content", tmp_path / "one.gif", "--output", tmp_path / "one.mp4")
        assert imageio.get_reader(tmp_path / "one.mp4").count_frames() == 1

    def test_refusals_name_setting_value_and_remedy(self, photo, other_style, tmp_path):
        out = ("--output", tmp_path / "out.png")
        (tmp_path / "empty").mkdir()
        (tmp_path / "broken.mp4").write_bytes(b"nothing")
        tiny = tmp_path / "tiny.png"
        imageio.imwrite(tiny, np.zeros((20, 20, 3), np.uint8))
        thin = tmp_path / "thin.png"
        imageio.imwrite(thin, np.zeros((20, 400, 3), np.uint8))
        (frames := tmp_path / "frames").mkdir()
        imageio.imwrite(frames / "0.png", imageio.imread(photo))
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "notes").write_text("mine")
        state = load_file(SHIPPED / "adain.safetensors")
        card = {"method": "adain", "width": "compact"}
        save_file(state, tmp_path / "bad.safetensors", {"card": json.dumps(card | {"options": {"other": 1}})})
        failed = {name: weights * float("nan") for name, weights in state.items()}
        save_file(failed, tmp_path / "nan.safetensors", {"card": json.dumps(card)})
        for words, wanted in (
            (("--content", tmp_path / "empty"), "content: "),
            (("--content", tmp_path / "broken.mp4", "--output", tmp_path / "a.mp4"), "content: "),
            (("--content", tmp_path / "gone.jpg", *out), "content: "),
            (("--content", photo, "--output", tmp_path / "a.mp4"), "output: "),
            (("--content", photo, "--output", tmp_path / "notes"), "output: "),
            (("--content", photo, "--output", tmp_path / "notes.txt"), "output: "),
            (("--content", photo, "--output", tmp_path / "folder.png"), f"output: {tmp_path}/folder.png is a folder"),
            (("--content", photo, "--output", tiny / "out.png"), f"output: {tiny} is a file"),
            (("--content", photo, "--output", photo), f"output: {photo} is what is read"),
            (("--content", frames, "--output", tmp_path / "a.webm"), "output: "),
            (("--content", frames, "--output", tmp_path / "new", "--styles", tmp_path / "no.jpg"), "styles: "),
            (("--content", frames, "--output", frames), f"output: {frames} is what is read"),
            (("--content", photo, *out, "--calm", 0.5), "calm: "),
            (("--content", photo, *out, "--encoder-weights", photo), "encoder-weights: "),
            (("--content", photo, *out, "--stroke-size", 5, "--styles", f"{photo}@x5", "--size", 300), "stroke-size: "),
            (("--content", photo, *out, "--weights", tmp_path / "bad.safetensors"), "weights: "),
            (("--content", photo, *out, "--weights", tmp_path / "nan.safetensors"), "weights: "),
            (("--content", photo, *out, "--strength-high", 0.5), "strength-high, strength-low: adain has one slider"),
            (("--content", photo, *out, "--mix", 1, 2), "mix: 2 weights for 1 styles"),
            (("--content", photo, *out, "--mask", photo, photo), "mask: 2 were given for 1 styles"),
            (("--content", photo, *out, "--mask", photo, "--mix", 1), "mix: masks say already"),
            (("--content", photo, *out, "--strength", 2), "strength: 2 is outside 0"),
            (("--content", photo, *out, "--weights", photo), "weights: "),
            (("--content", photo, *out, "--method", "sanet", "--weights", SHIPPED / "adain.safetensors"), "weights: "),
            (("--content", photo, *out, "--size", 5000), "size: 5000 is too much"),
            (
                ("--content", tiny, *out, "--method", "octave"),
                "weights: no network of octave ships with ins3d yet; train one",
            ),
            (("--content", thin, *out, "--size", 64), "a picture of 64x3 pixels is too small"),
        ):
            assert refused("transfer", *words).startswith(wanted), words
        assert not (tmp_path / "out.png").exists() and not (tmp_path / "new").exists()
        assert (tmp_path / "notes").read_text() == "mine"

    def test_at_nothing_it_is_the_photograph(self, photo, tmp_path):
        run("transfer", "--content", photo, "--output", tmp_path / "out.png", "--strength", 0)
        apart = (read_rgb(tmp_path / "out.png", "test") - read_rgb(photo, "test")).abs().max()
        assert apart < 1.5 / 255

    def test_a_transparent_film_is_laid_over_white(self, tmp_path):
        frame = Image.new("P", (80, 64), 0)
        frame.paste(1, (0, 0, 40, 64))
        frame.putpalette([0, 0, 0, 200, 0, 0])
        frame.save(tmp_path / "clear.gif", transparency=0)
        shown = open_sequence(tmp_path / "clear.gif", "test").read(0)
        assert shown[:, :, 50:].min() == 1 and abs(float(shown[0, 5, 5]) - 200 / 255) < 0.02


class TestPreview:
    def test_all_paintings_of_a_folder_on_one_sheet_and_the_rest_is_passed_over(self, photo, other_style, tmp_path, capsys):
        folder = tmp_path / "styles"
        folder.mkdir()
        other_style.rename(folder / "stripes.png")
        imageio.imwrite(folder / "waves.jpg", imageio.imread(DEFAULT_STYLE)[:200, :200, :3])
        (folder / "notes.txt").write_text("no picture")
        (folder / "broken.png").write_bytes(b"no picture either")
        imageio.imwrite(folder / "$x^$.png", imageio.imread(folder / "stripes.png"))  # no formula
        imageio.imwrite(folder / "stripes.jpg", imageio.imread(folder / "stripes.png"))
        imageio.imwrite(folder / "thin.png", np.zeros((20, 400, 3), np.uint8))
        run("preview", "--content", photo, "--styles", folder, "--output", tmp_path / "sheet.png", "--side", 96)
        told, said = json.loads((tmp_path / "preview.json").read_text()), capsys.readouterr().out
        assert set(told["paintings"]) == {"stripes", "stripes.png", "waves", "$x^$"} and told["rule"] in said
        assert "Passed over broken.png: " in said and "Passed over thin.png: " in said
        assert f"Best for photo.png ({told['rule']}): {', '.join(told['paintings'])}." in said
        sheet = imageio.imread(tmp_path / "sheet.png")
        assert sheet.shape[1] > 3 * 96 and sheet[..., :3].std() > 20

    def test_of_a_scene_a_photograph_is_taken(self, tmp_path, other_style):
        scene, styles = tmp_path / "scene", tmp_path / "styles"
        (scene / "images").mkdir(parents=True)
        styles.mkdir()
        other_style.rename(styles / "stripes.png")
        imageio.imwrite(scene / "images" / "a.png", imageio.imread(DEFAULT_CONTENT)[:96, :96])
        frames = [{"file_path": name} for name in ("images\\a", "images/gone.png")]
        (scene / "transforms.json").write_text(json.dumps({"frames": frames}))
        config = tmp_path / "config.yml"
        config.write_text(
            "!!python/object:some.Trainer\ndata: &id001 !!python/object/apply:pathlib.PosixPath\n"
            + "\n".join(f"- {part}" for part in scene.parts)
            + "\npipeline: !!python/object:other.Pipeline\n  data: *id001\n"
        )
        for content in (scene, scene / "transforms.json", config):
            run("preview", "--content", content, "--styles", styles, "--output", tmp_path / "sheet.png")
            (tmp_path / "sheet.png").unlink()
        assert refused("preview", "--content", styles, "--styles", styles).startswith(f"content: {styles} has no transforms")
        assert refused("preview", "--content", scene, "--styles", tmp_path / "no").startswith("styles: ")
        assert refused("preview", "--styles", scene, "--output", tmp_path / "a.png").startswith("styles: the folder ")
        assert refused("preview", "--styles", styles, "--output", tmp_path / "a.mp4").startswith("output: ")


class TestTrain:
    def test_a_network_of_ones_own_is_trained_resumed_and_used(self, photo, tmp_path):
        folder = tmp_path / "photographs"
        folder.mkdir()
        for number in range(3):
            imageio.imwrite(folder / f"{number}.png", np.roll(imageio.imread(photo), 20 * number, axis=1))
        words = ("train", "--photographs", folder, "--size", 64, "--batch", 2, "--perceptual-encoder", "compact")
        out = tmp_path / "own"
        run(*words, "--output", out, "--steps", 3)
        run(*words, "--output", out, "--steps", 6, "--resume")
        assert len((out / "loss.csv").read_text().splitlines()) == 7 and (out / "picture.png").is_file()
        weights = ("--method", "johnson", "--weights", out / "johnson.safetensors")
        run("transfer", *weights, "--content", photo, "--output", tmp_path / "out.png")
        assert read_rgb(tmp_path / "out.png", "test").shape == (3, 101, 131)
        told = refused("transfer", "--method", "johnson", "--content", photo, "--output", tmp_path / "out.png")
        assert told == "weights: johnson is a network of one style; train yours (ins3d picture train), and give its file."
        assert refused("train", "--photographs", tmp_path / "none").startswith("photographs: ")
        small = refused(*words, "--output", out, "--steps", 3, "--stroke-size", 0.3)
        assert small.startswith("stroke-size: 0.3 looks at ") and (out / "training.pt").is_file()
        assert refused("transfer", *weights, "--content", photo, "--styles", photo).startswith(
            "styles, stroke-size: johnson"
        )
        assert refused("preview", *weights, "--styles", folder).startswith("method: johnson paints one style")
