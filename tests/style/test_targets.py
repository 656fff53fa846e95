import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ins3d.files.pictures import read_rgb, write_rgb
from ins3d.perception.color_transfer import ColorStatistics, color_statistics
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import statistics_of, unit_vectors
from ins3d.style.losses import GRAM_LAYERS, LOSSES, STYLE_LOSSES, Seen, select
from ins3d.style.styles import parse_style
from ins3d.style.targets import StyleTarget, StyleView, style_target

LAYERS = ("relu1_1", "relu2_1")
CPU = torch.device("cpu")


@pytest.fixture
def features(tiny_vgg: Callable[..., dict[str, Tensor]]) -> PerceptualFeatures:
    return PerceptualFeatures(tiny_vgg("vgg19", last=10), LAYERS + ("relu3_1",), source="tiny")


@pytest.fixture
def deep_features(tiny_vgg: Callable[..., dict[str, Tensor]]) -> PerceptualFeatures:
    """With the layers that the losses choose themselves."""
    layers = tuple(dict.fromkeys(layer for loss in STYLE_LOSSES.values() for layer in loss.layers))
    return PerceptualFeatures(tiny_vgg("vgg19", last=19), layers, source="tiny")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """60 pixels high, 90 wide."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "starry night.png")
    return tmp_path / "starry night.png"


def seen_at(picture: Path, height: int, width: int) -> Tensor:
    rgb = read_rgb(picture, "style")[None]
    return torch.nn.functional.interpolate(rgb, size=(height, width), mode="bilinear", antialias=True)


def looked_at(path: Path, features: PerceptualFeatures, view: StyleView, **more) -> StyleTarget:
    return style_target(parse_style(str(path), "styles"), features, view, CPU, **more)


def grams_of_map(features: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()


class TestStyleView:
    def test_every_loss_looks_at_its_own_layers_unless_they_are_chosen(self):
        view = StyleView(losses=("nnfm", "gram"))
        assert view.all_layers == ("relu3_1", "relu3_2", "relu3_3", "relu1_2", "relu2_2", "relu4_1")
        assert view.gram_layers == GRAM_LAYERS
        chosen = StyleView(losses=("nnfm", "gram"), layers=LAYERS)
        assert chosen.all_layers == chosen.gram_layers == LAYERS

    def test_the_reported_distance_has_its_layers_whatever_the_losses(self):
        assert set(GRAM_LAYERS) < set(StyleView(losses=("nnfm",)).all_layers)


class TestStyleTarget:
    def test_keeps_the_name_and_the_layers(self, picture: Path, features: PerceptualFeatures):
        target = looked_at(picture, features, StyleView(layers=LAYERS, long_side=45))
        assert target.name == "starry night"
        assert set(target.grams) == set(LAYERS) and set(target.references) == {"gram"}

    def test_keeps_the_gram_matrices_of_the_picture_at_the_size_asked_for(self, picture, features: PerceptualFeatures):
        target = looked_at(picture, features, StyleView(layers=LAYERS, long_side=45))
        seen = seen_at(picture, 30, 45)
        for layer in LAYERS:
            torch.testing.assert_close(target.grams[layer], grams_of_map(features(seen)[layer]))
            torch.testing.assert_close(target.references["gram"][layer], target.grams[layer])

    def test_keeps_for_each_loss_what_it_compares_with(self, picture: Path, deep_features: PerceptualFeatures):
        view = StyleView(losses=("statistics", "nnfm", "gram_hw", "swd"), long_side=45)
        target = looked_at(picture, deep_features, view)
        maps = deep_features(seen_at(picture, 30, 45))
        own = {layer: maps[layer] for layer in GRAM_LAYERS}
        block = {f"relu3_{i}": maps[f"relu3_{i}"] for i in (1, 2, 3)}
        assert list(target.references) == ["statistics", "nnfm", "gram_hw", "swd"]
        torch.testing.assert_close(target.references["statistics"], statistics_of(own))
        torch.testing.assert_close(target.references["nnfm"], unit_vectors(block))
        torch.testing.assert_close(target.references["swd"], own)
        for layer, features in own.items():
            torch.testing.assert_close(target.references["gram_hw"][layer], features.shape[1] * grams_of_map(features))
            torch.testing.assert_close(target.grams[layer], grams_of_map(features))

    @pytest.mark.parametrize("name", STYLE_LOSSES)
    def test_is_what_its_own_picture_is_at_no_distance_from(self, name: str, picture: Path, deep_features, random):
        view = StyleView(losses=(name,), long_side=45)
        reference = looked_at(picture, deep_features, view).references[name]
        loss = STYLE_LOSSES[name]
        own, other = seen_at(picture, 30, 45), torch.rand(1, 3, 30, 45, generator=random)
        distances = [
            loss.compare(deep_features(seen, loss.layers), reference, None, random).item() for seen in (own, 0.3 * other)
        ]
        assert abs(distances[0]) < 1e-4 * distances[1]

    def test_is_looked_at_in_every_scale(self, picture: Path, features: PerceptualFeatures):
        target = looked_at(picture, features, StyleView(layers=LAYERS, scales=(1, 2), long_side=60))
        assert set(target.references["gram"]) == {"relu1_1", "relu2_1", "relu1_1/2", "relu2_1/2"}
        assert set(target.grams) == set(LAYERS)
        halved = seen_at(picture, 40, 60).reshape(1, 3, 20, 2, 30, 2).mean((3, 5))
        for layer in LAYERS:
            expected = grams_of_map(features(halved)[layer])
            torch.testing.assert_close(target.references["gram"][f"{layer}/2"], expected, atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("scales", [(2,), (1, 0), ()])
    def test_refuses_scales_without_the_pictures_as_they_are(self, scales: tuple[int, ...]):
        with pytest.raises(ValueError, match=rf"^style-scales: {re.escape(str(scales))} must hold 1, the pictures as they"):
            StyleView(layers=LAYERS, scales=scales)

    def test_refuses_a_picture_that_is_a_needle_at_the_size_it_is_looked_at(self, tmp_path: Path, deep_features):
        path = tmp_path / "frieze.png"
        Image.new("RGB", (2000, 40)).save(path)
        text = (
            f"pipeline.model.styles: {path} is looked at in 256x5 pixels, and relu4_1 needs 16 a side; crop it to a less "
            "narrow picture, or raise pipeline.model.style-size."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            looked_at(path, deep_features, StyleView(), prefix="pipeline.model.")

    def test_squares_the_picture_by_nearest_neighbour_as_the_release_does(self, picture, features: PerceptualFeatures):
        target = looked_at(picture, features, StyleView(layers=LAYERS, long_side=45, square=True))
        # Nearest neighbour by hand: output pixel i shows input pixel floor(i * size / 224).
        rows, columns = (torch.arange(224) * size // 224 for size in (60, 90))
        seen = read_rgb(picture, "style")[None][:, :, rows][:, :, :, columns]
        for layer in LAYERS:
            torch.testing.assert_close(target.grams[layer], grams_of_map(features(seen)[layer]))

    def test_the_strokes_of_several_pictures_have_the_direction_that_they_have_in_each(self, tmp_path: Path, deep_features):
        """As features of one picture of one row they have none, and the loss asks for nothing."""
        view, words = StyleView(("coherence",), long_side=64), []
        for name, angle in (("down", 0.0), ("across", 1.0)):
            wave = torch.sin(torch.arange(64.0) * 0.8)
            rows = wave[:, None].expand(64, 64) if angle else wave[None].expand(64, 64)
            write_rgb(tmp_path / f"{name}.png", (0.5 + 0.4 * rows).expand(3, 64, 64))
            words.append(f"{tmp_path}/{name}.png")
        alone = [looked_at(Path(word), deep_features, view).references["coherence"]["relu1_2"].item() for word in words]
        both = looked_at(Path("+".join(words)), deep_features, view).references["coherence"]["relu1_2"].item()
        assert min(alone) > 0.9 and both == pytest.approx(sum(alone) / 2, rel=1e-5)

    def test_what_a_mask_leaves_is_compared_place_by_place(self, tmp_path: Path, deep_features: PerceptualFeatures, random):
        """Hypercolumns are of one place: those of a half of a picture are among those of the whole."""
        write_rgb(tmp_path / "a.png", torch.rand(3, 64, 64, generator=random))
        write_rgb(tmp_path / "left.png", (torch.arange(64) < 32).float().expand(3, 64, 64))
        view = StyleView(("remd", "coherence"), long_side=64)
        half = looked_at(Path(f"{tmp_path}/a.png@{tmp_path}/left.png"), deep_features, view)
        maps = deep_features(half.pictures[0][0][None], LOSSES["remd"].layers)
        seen = Seen(half.pictures[0][0][None], maps, {}, half.pictures[0][1][None], random)
        assert LOSSES["remd"].value(seen, half.references["remd"]).item() < 0.05
        assert half.references["coherence"]["relu1_2"].item() > 0

    def test_keeps_the_colors_of_the_picture(self, picture: Path, features: PerceptualFeatures):
        target = looked_at(picture, features, StyleView(layers=LAYERS, long_side=90))
        pixels = read_rgb(picture, "style").flatten(1).T
        torch.testing.assert_close(target.colors.mean, pixels.mean(0), atol=1e-4, rtol=0)
        torch.testing.assert_close(target.colors.covariance, torch.cov(pixels.T, correction=0), atol=1e-4, rtol=0)

    def test_is_seen_in_other_colors_when_they_are_given(self, tmp_path: Path, features: PerceptualFeatures, random):
        # The encoder's first layer is replaced by one that shows the colours themselves: red, green, blue and nothing.
        palette = tmp_path / "palette.png"
        pixels = np.random.default_rng(1).integers(0, 256, (48, 48, 3), dtype=np.uint8) * np.array([1, 0.5, 0.2])
        Image.fromarray(pixels.astype(np.uint8)).save(palette)
        conv = features.convs["relu1_1"]
        conv.weight.zero_(), conv.bias.fill_(10)
        for channel in range(3):
            conv.weight[channel, channel, 1, 1] = 1
        wanted = ColorStatistics(torch.tensor([0.4, 0.5, 0.6]), 0.01 * torch.tensor([[1, 0.2, 0], [0.2, 1, 0], [0, 0, 1]]))
        view = StyleView(losses=("swd",), layers=("relu1_1",), long_side=48)
        target = looked_at(palette, features, view, recolored_to=wanted)
        rgb = (target.references["swd"]["relu1_1"][:, :3] - 10) * features.std + features.mean
        found = color_statistics(rgb[0].flatten(1).T)
        torch.testing.assert_close(found.mean, wanted.mean, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.covariance, wanted.covariance, atol=1e-4, rtol=0.02)
        # What stands behind an object stays the picture's own colour.
        plain = looked_at(palette, features, view)
        torch.testing.assert_close(vars(target.colors), vars(plain.colors))

    def test_in_its_own_colors_is_the_same(self, picture: Path, features: PerceptualFeatures):
        view = StyleView(layers=LAYERS, long_side=45)
        plain = looked_at(picture, features, view)
        again = looked_at(picture, features, view, recolored_to=plain.colors)
        torch.testing.assert_close(again.grams, plain.grams, atol=1e-3, rtol=1e-3)

    def test_keeps_no_gradient(self, picture: Path, features: PerceptualFeatures):
        target = looked_at(picture, features, StyleView(losses=("gram", "swd"), layers=LAYERS, long_side=45))
        held = (target.grams, *target.references.values())
        assert not any(value.requires_grad for values in held for value in values.values())

    def test_names_the_setting_of_a_picture_that_is_missing(self, tmp_path: Path, features: PerceptualFeatures):
        with pytest.raises(
            FileNotFoundError, match=r"^pipeline\.model\.styles: .*nowhere\.jpg does not exist; give the path"
        ):
            looked_at(tmp_path / "nowhere.jpg", features, StyleView(layers=LAYERS), prefix="pipeline.model.")


class TestSelect:
    def test_takes_the_layers_at_every_scale(self):
        maps = {name: torch.zeros(1) for name in ("a", "b", "c", "a/2", "b/2", "c/2")}
        assert list(select(maps, ("c", "a"), (1, 2))) == ["c", "a", "c/2", "a/2"]
        assert list(select(maps, ("b",), (2,))) == ["b/2"]
