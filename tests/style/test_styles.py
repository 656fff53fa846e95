import os
import shutil
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from torch import Tensor

from ins3d.files.pictures import read_rgb
from ins3d.perception.color_transfer import color_statistics
from ins3d.perception.features import PerceptualFeatures
from ins3d.style.losses import LOSSES, STYLE_LOSSES, Seen
from ins3d.style.styles import (
    DEFAULT_STYLE,
    MAX_STYLES,
    STYLES,
    Style,
    StyleSource,
    check_styles,
    find_styles,
    parse_style,
    style_names,
)
from ins3d.style.targets import StyleTarget, StyleView, style_target

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """wave.jpg, candy.png, and a text."""
    for name in ("wave.jpg", "candy.PNG", "read.me"):
        (tmp_path / name).write_bytes(b"not looked into here")
    return tmp_path


def write_picture(path: Path, seed: int = 0, height: int = 64, width: int = 96) -> Path:
    """Blocks of eight pixels in random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    imageio.imwrite(path, np.kron(blocks, np.ones((8, 8, 1), dtype=np.uint8)))
    return path


def write_mask(path: Path, painted: slice, height: int = 64, width: int = 96) -> Path:
    """White in these columns, else black."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:, painted] = 255
    imageio.imwrite(path, mask)
    return path


def message(words: list[str | Path], setting: str = "styles") -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        find_styles(words, setting)
    return str(caught.value)


class TestFindStyles:
    def test_a_folder_stands_for_its_pictures_by_name(self, folder: Path):
        found = find_styles([folder])
        assert [style.name for style in found] == ["candy", "wave"]
        assert [style.sources for style in found] == [
            (StyleSource(folder / "candy.PNG"),), (StyleSource(folder / "wave.jpg"),)
        ]  # fmt: skip

    def test_files_keep_their_order_and_become_absolute(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(folder)
        assert find_styles([Path("wave.jpg"), "candy.PNG"]) == (
            Style("wave", (StyleSource(folder / "wave.jpg"),)), Style("candy", (StyleSource(folder / "candy.PNG"),))
        )  # fmt: skip

    def test_the_default_is_there(self):
        (style,) = find_styles([DEFAULT_STYLE])
        assert style.name == "default_style" and style.read("styles")[0][0].shape[0] == 3

    def test_nothing_given(self):
        assert message([], "pipeline.model.styles") == "pipeline.model.styles: no picture is given; name at least one."

    def test_a_folder_from_a_mac(self, tmp_path: Path):
        for name in ("wave.jpg", "._wave.jpg", ".DS_Store", "Thumbs.db"):
            (tmp_path / name).write_bytes(b"")
        assert [style.name for style in find_styles([tmp_path])] == ["wave"]

    def test_a_folder_without_pictures(self, tmp_path: Path):
        assert message([tmp_path]).startswith(f"styles: the folder {tmp_path} holds no pictures (.png, ")

    def test_one_missing(self):
        assert message([Path("/nowhere/a.jpg")], "pipeline.model.styles") == (
            "pipeline.model.styles: /nowhere/a.jpg does not exist; give paths of pictures (png, jpg, webp, tiff), or a "
            "folder of them."
        )

    def test_one_missing_among_ten(self, folder: Path):
        nine = [folder / f"{index}.png" for index in range(9)]
        for path in nine:
            shutil.copy(folder / "wave.jpg", path)
        assert message([*nine, folder / "gone.png"]).startswith(
            f"styles: 1 of 10 pictures are missing, the first is {folder}/gone.png; give"
        )

    @pytest.mark.parametrize("word", ["wave.jpg+gone.png", "wave.jpg@gone.png", "sky=wave.jpg@0,0,1,.5+gone.png"])
    def test_a_missing_part_of_a_style(self, folder: Path, word: str, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(folder)
        assert message([word]).startswith(f"styles: 1 of 2 pictures are missing, the first is {folder}/gone.png; give")

    def test_the_same_file_twice(self, folder: Path):
        wave = folder / "wave.jpg"
        assert message([wave, folder]) == f"styles: {wave} is given twice; give every picture once."

    def test_a_link_to_the_same_file(self, folder: Path):
        (folder / "sub").mkdir()
        os.symlink(folder / "wave.jpg", folder / "sub" / "wave.jpg")
        assert "is given twice" in message([folder / "wave.jpg", folder / "sub" / "wave.jpg"])

    def test_two_files_of_one_name(self, folder: Path):
        shutil.copy(folder / "wave.jpg", folder / "wave.png")
        assert message([folder / "wave.jpg", folder / "wave.png"]) == (
            f"styles: {folder}/wave.jpg and {folder}/wave.png would both be called 'wave'; rename one of them, as in "
            f"NAME={folder}/wave.png."
        )
        first, second = find_styles([folder / "wave.jpg", f"other={folder / 'wave.png'}"])
        assert (first.name, second.name) == ("wave", "other")

    def test_two_parts_of_one_picture_need_names(self, folder: Path):
        left, right = (f"{folder}/wave.jpg@{crop}" for crop in ("0,0,0.5,1", "0.5,0,1,1"))
        assert message([left, right]) == (
            f"styles: wave={left} and wave={right} would both be called 'wave'; rename one of them, as in NAME={right}."
        )
        assert [style.name for style in find_styles([left, f"right={right}"])] == ["wave", "right"]

    def test_fifty(self, folder: Path):
        paths = [folder / f"{index}.png" for index in range(50)]
        for path in paths:
            shutil.copy(folder / "wave.jpg", path)
        assert message([*paths]) == (
            f"styles: 50 pictures are more than the {MAX_STYLES} that one network holds; give fewer, and train the others "
            "in another run, from the same content."
        )

    def test_as_many_as_one_network_holds(self):
        check_styles([Style(str(number), (StyleSource(Path(f"/{number}.png")),)) for number in range(MAX_STYLES)])


class TestParseStyle:
    @pytest.fixture(autouse=True)
    def there(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)

    def test_two_pictures_are_one_style(self, folder: Path):
        both = (StyleSource(folder / "wave.jpg"), StyleSource(folder / "candy.PNG"))
        assert parse_style("wave.jpg+candy.PNG", "styles") == Style("wave+candy", both)
        assert parse_style("sweet sea=wave.jpg+candy.PNG", "styles") == Style("sweet sea", both)

    def test_crops_and_masks_in_any_order(self, folder: Path):
        part = StyleSource(folder / "wave.jpg", (0.0, 0.1, 0.5, 1.0), folder / "candy.PNG")
        for word in ("wave.jpg@0,.1,.5,1@candy.PNG", "wave.jpg@candy.PNG@0,.1,.5,1"):
            assert parse_style(word, "styles") == Style("wave", (part,))
        assert parse_style(f"wave=candy.PNG+{folder}/wave.jpg@0,.1,.5,1@candy.PNG", "styles") == Style(
            "wave", (StyleSource(folder / "candy.PNG"), part)
        )

    @pytest.mark.parametrize(
        "name", ["a+b.jpg", "wave.jpg+candy.PNG", "x=y.jpg", "a@b.jpg", "wave.jpg@0,0,1,1", "a+b=c@d.jpg", "mix:a.jpg"]
    )
    def test_signs_in_the_name_of_a_file_that_is_there_are_letters(self, folder: Path, name: str):
        (folder / name).write_bytes(b"not looked into here")
        source, stem = StyleSource(folder / name), Path(name).stem
        assert parse_style(name, "styles") == parse_style(f"{folder}/{name}", "styles") == Style(stem, (source,))
        assert parse_style(f"night={name}", "styles") == Style("night", (source,))
        assert parse_style(f"night=read.me+{name}@0,0,1,.5+wave.jpg@{name}", "styles") == Style(
            "night",
            (
                StyleSource(folder / "read.me"),
                StyleSource(folder / name, (0.0, 0.0, 1.0, 0.5)),
                StyleSource(folder / "wave.jpg", None, folder / name),
            ),
        )

    def test_signs_in_the_name_of_a_folder_are_letters_too(self, folder: Path):
        inside = folder / "a=1+2@home"
        inside.mkdir()
        shutil.copy(folder / "wave.jpg", inside)
        assert parse_style(f"{inside}/wave.jpg@0,0,1,.5", "styles") == Style(
            "wave", (StyleSource(inside / "wave.jpg", (0.0, 0.0, 1.0, 0.5)),)
        )
        assert find_styles([inside]) == (Style("wave", (StyleSource(inside / "wave.jpg"),)),)

    @pytest.mark.parametrize(
        "word",
        [
            "wave.jpg", "night=wave.jpg", "wave.jpg+candy.PNG", "wave.jpg@0,0,.5,1", "wave.jpg@.3333333333333333,0,1,1",
            "wave.jpg@candy.PNG", "n=wave.jpg@0,0,.5,1@candy.PNG+candy.PNG", "gone.png", "gone.png+away.png@0,0,1,.1",
            "a+b.jpg", "x=a+b.jpg", "a=b=c@d.jpg@0,0,1,.5",
        ],
    )  # fmt: skip
    def test_what_it_is_written_as_is_read_as_the_same(self, folder: Path, word: str):
        for name in ("a+b.jpg", "c@d.jpg", "b=c@d.jpg"):
            (folder / name).write_bytes(b"not looked into here")
        style = parse_style(word, "styles")
        assert parse_style(str(style), "styles") == style

    def test_it_is_written_plainly_where_it_is_one_file_of_its_name(self, folder: Path):
        assert str(parse_style("wave.jpg", "styles")) == f"{folder}/wave.jpg"
        assert str(parse_style("n=wave.jpg@.25,0,1,1", "styles")) == f"n={folder}/wave.jpg@0.25,0,1,1"

    @pytest.mark.parametrize("crop", ["0,0,1", ".5,0,.5,1", "0,1,1,0", "-1,0,1,1", "0,0,2,1", "nan,0,1,1", "0,0,1,1,1"])
    def test_a_crop_that_is_none_is_refused(self, crop: str):
        assert message([f"wave.jpg@{crop}"]) == (
            f"styles: {crop} in wave.jpg@{crop} is no part; give LEFT,TOP,RIGHT,BOTTOM in shares, such as 0,0,.5,1."
        )

    def test_two_crops_or_masks_are_refused(self):
        for word, what in (("wave.jpg@0,0,1,.5@0,0,.5,1", "crops"), ("wave.jpg@candy.PNG@read.me", "masks")):
            assert message([word]) == f"styles: {word} has two {what}; give one."

    def test_names_need_no_files(self):
        words = [Path("a/starry.night.jpg"), "b/wave.png", "night=c.jpg+d.jpg@0,0,1,.5", "e.jpg+f.jpg"]
        assert style_names(words) == ("starry.night", "wave", "night", "e+f")


class TestParsers:
    @pytest.fixture
    def plain(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """`plain:RRGGBB` is a picture of one colour."""

        class Plain:
            def parse(self, text: str) -> Style:
                if len(text) != 6:
                    raise ValueError("six digits are needed")
                path = tmp_path / f"{text}.png"
                color = [int(text[place : place + 2], 16) for place in (0, 2, 4)]
                imageio.imwrite(path, np.full((16, 16, 3), color, dtype=np.uint8))
                return Style(f"plain {text}", (StyleSource(path),))

        monkeypatch.setattr(STYLES, "_entries", {})
        STYLES.register("plain", Plain())
        return tmp_path

    def test_read_what_stands_behind_their_name(self, plain: Path):
        (style,) = find_styles(["plain:ff0033"])
        assert style == Style("plain ff0033", (StyleSource(plain / "ff0033.png"),))
        ((rgb, mask),) = style.read("styles")
        torch.testing.assert_close(rgb.mean((1, 2)), torch.tensor([1.0, 0.0, 0.2]))
        assert mask is None and parse_style(str(style), "styles") == style

    def test_what_they_refuse_names_the_setting(self, plain: Path):
        assert message(["plain:red"], "pipeline.model.styles") == ("pipeline.model.styles: plain:red: six digits are needed")

    def test_nobody_reads_other_names(self, plain: Path):
        assert message(["plan:ff0033"]).startswith(f"styles: {Path.cwd()}/plan:ff0033 does not exist; give paths of")

    def test_what_is_none_is_refused(self):
        with pytest.raises(TypeError, match="ins3d.styles: text is no style: it has no parse; see .*StyleParser"):
            STYLES.register("text", "text")  # type: ignore[arg-type]


class TestRead:
    def test_a_crop_is_that_part(self, tmp_path: Path):
        path = write_picture(tmp_path / "a.png")
        ((rgb, mask),) = parse_style(f"{path}@.25,0,1,.5", "styles").read("styles")
        assert mask is None and torch.equal(rgb, read_rgb(path, "styles")[:, :32, 24:])

    def test_shares_that_are_no_binary_numbers_lose_no_pixel(self, tmp_path: Path):
        path = write_picture(tmp_path / "a.png", height=104, width=104)
        crops = parse_style(f"{path}@0,0,1,.27884615+{path}@0,.27884615,1,1", "styles").read("styles")
        assert [rgb.shape[1] for rgb, _ in crops] == [29, 75]

    def test_a_mask_counts_where_it_is_light_and_is_cropped_along(self, tmp_path: Path):
        path, half = write_picture(tmp_path / "a.png"), write_mask(tmp_path / "m.png", slice(0, 24), height=32, width=48)
        ((rgb, mask),) = parse_style(f"{path}@{half}", "styles").read("styles")
        assert torch.equal(rgb, read_rgb(path, "styles"))
        assert mask is not None and bool(mask[..., :48].all()) and not mask[..., 48:].any()
        ((_, cropped),) = parse_style(f"{path}@{half}@.25,0,1,1", "styles").read("styles")
        assert cropped is not None and torch.equal(cropped, mask[..., 24:])

    def test_what_is_transparent_in_a_mask_does_not_count(self, tmp_path: Path):
        path, pixels = write_picture(tmp_path / "a.png"), np.full((64, 96, 4), 255, dtype=np.uint8)
        pixels[:, :48, 3] = 0
        imageio.imwrite(tmp_path / "cut.png", pixels)
        ((_, mask),) = parse_style(f"{path}@{tmp_path}/cut.png", "styles").read("styles")
        assert mask is not None and not mask[..., :48].any() and bool(mask[..., 48:].all())

    def test_nothing_left_is_refused(self, tmp_path: Path):
        path, black = write_picture(tmp_path / "a.png"), write_mask(tmp_path / "m.png", slice(0, 0))
        for part in (f"{black}", "0,0,0.001,1"):
            with pytest.raises(ValueError) as caught:
                parse_style(f"{path}@{part}", "styles").read("pipeline.model.styles")
            assert str(caught.value) == (
                f"pipeline.model.styles: nothing is left of {path}@{part}; choose a larger part, or a lighter mask."
            )


class TestTargets:
    """What the losses compare with, of several pictures and of parts."""

    SIDE = 96

    @pytest.fixture
    def features(self, tiny_vgg: Callable[..., dict[str, Tensor]]) -> PerceptualFeatures:
        layers = tuple(dict.fromkeys(layer for loss in STYLE_LOSSES.values() for layer in loss.layers))
        return PerceptualFeatures(tiny_vgg("vgg19", last=19), layers, source="tiny")

    def target(self, word: str, features: PerceptualFeatures, side: int = SIDE, **view) -> StyleTarget:
        view = StyleView(losses=tuple(STYLE_LOSSES), long_side=side, **view)
        return style_target(parse_style(word, "styles"), features, view, CPU)

    def distance(self, name: str, picture: Tensor, target: StyleTarget, features: PerceptualFeatures) -> float:
        seen = Seen(picture[None], features(picture[None], LOSSES[name].layers), {}, None, torch.Generator().manual_seed(0))
        return float(LOSSES[name].value(seen, target.references[name]))

    def test_of_two_equal_pictures_are_those_of_the_one(self, tmp_path: Path, features: PerceptualFeatures):
        path = write_picture(tmp_path / "a.png")
        one, both = self.target(f"{path}", features), self.target(f"two={path}+{path}", features)
        assert (one.name, both.name) == ("a", "two")
        for name in ("gram", "gram_chw", "gram_hw"):
            torch.testing.assert_close(both.references[name], one.references[name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(both.grams, one.grams, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(vars(both.colors), vars(one.colors), rtol=1e-4, atol=1e-6)

    def test_of_two_pictures_are_the_means_of_their_grams_by_their_sizes(self, tmp_path: Path, features: PerceptualFeatures):
        wide, square = write_picture(tmp_path / "a.png"), write_picture(tmp_path / "b.png", 1, 96, 96)
        one, other = (self.target(f"{path}", features) for path in (wide, square))
        both = self.target(f"{wide}+{square}", features)
        for layer, gram in both.grams.items():
            expected = (one.grams[layer] * 64 + other.grams[layer] * 96) / 160
            torch.testing.assert_close(gram, expected, rtol=1e-4, atol=1e-6)
        pixels = torch.cat([read_rgb(path, "styles").flatten(1).T for path in (wide, square)])
        torch.testing.assert_close(vars(both.colors), vars(color_statistics(pixels)), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", ["gram", "statistics", "nnfm", "swd"])
    def test_a_mask_of_the_left_half_gives_what_cropping_to_it_gives(
        self, name: str, tmp_path: Path, features: PerceptualFeatures
    ):
        # 192 wide: what layers see beyond the border of the mask is a small share of the half.
        path = write_picture(tmp_path / "a.png", 0, 128, 192)
        mask = write_mask(tmp_path / "m.png", slice(0, 96), 128, 192)
        masked = self.target(f"{path}@{mask}", features, side=192)
        cropped = self.target(f"{path}@0,0,.5,1", features, side=128)
        left = read_rgb(path, "styles")[:, :, :96]
        torch.testing.assert_close(vars(masked.colors), vars(cropped.colors), rtol=1e-4, atol=1e-5)
        other = read_rgb(write_picture(tmp_path / "b.png", 5, 128, 96), "styles") ** 3
        far = self.distance(name, other, cropped, features)
        assert self.distance(name, other, masked, features) == pytest.approx(far, rel=0.1)
        assert self.distance(name, left, cropped, features) < 1e-4 * far
        assert self.distance(name, left, masked, features) < 0.1 * far
        if name == "nnfm":
            return  # of which positions there are more or less, not their mean
        whole = self.target(f"{path}", features, side=192)
        assert self.distance(name, left, masked, features) < 0.5 * self.distance(name, left, whole, features)

    def test_what_a_mask_hides_does_not_matter_far_from_its_border(self, tmp_path: Path, features: PerceptualFeatures):
        mask = write_mask(tmp_path / "m.png", slice(0, 48), 64, 192)
        pixels = np.array(imageio.imread(write_picture(tmp_path / "a.png", 0, 64, 192)))
        pixels[:, 128:] = 0
        imageio.imwrite(tmp_path / "b.png", pixels)
        one, other = (self.target(f"{tmp_path}/{name}.png@{mask}", features, side=192) for name in "ab")
        for name in STYLE_LOSSES:
            torch.testing.assert_close(one.references[name], other.references[name])

    def test_a_mask_that_leaves_nothing_deep_down_is_refused(self, tmp_path: Path, features: PerceptualFeatures):
        path, thin = write_picture(tmp_path / "a.png"), write_mask(tmp_path / "m.png", slice(2, 3))
        with pytest.raises(ValueError) as caught:
            style_target(
                parse_style(f"{path}@{thin}", "styles"), features, StyleView(long_side=96), CPU, prefix="pipeline.model."
            )
        assert str(caught.value) == ("pipeline.model.styles: the mask of a leaves nothing at relu3_3; use a larger one.")

    def test_masks_and_crops_work_at_every_scale(self, tmp_path: Path, features: PerceptualFeatures):
        path, half = write_picture(tmp_path / "a.png"), write_mask(tmp_path / "m.png", slice(0, 48))
        target = self.target(f"{path}@{half}+{path}@.5,0,1,1", features, scales=(1, 2), layers=("relu1_2", "relu2_2"))
        assert set(target.references["gram"]) == {"relu1_2", "relu2_2", "relu1_2/2", "relu2_2/2"}
