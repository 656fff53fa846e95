"""The encoder that ships with the package."""

import importlib.resources
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.features import PerceptualFeatures, conv_layers
from ins3d.perception.losses import content_loss, grams_of, relative_gram_loss
from ins3d.perception.weights import COMPACT_FILE, load_encoder
from ins3d.pictures.pixel_objective import PixelSettings
from ins3d.pictures.pixel_optimization import gatys
from ins3d.style.losses import GRAM_LAYERS

CPU = torch.device("cpu")
CONTENT_LAYERS = ("relu2_2",)
LAYERS = tuple(dict.fromkeys([*GRAM_LAYERS, *CONTENT_LAYERS]))


@pytest.fixture(scope="module")
def compact() -> PerceptualFeatures:
    return load_encoder(None, "compact", tuple(conv_layers("compact")), CPU)


@pytest.fixture
def vgg19(assets: Path) -> PerceptualFeatures:
    return load_encoder(assets / "vgg/vgg19_caffe_conv1_1-conv4_1_f16.safetensors", "auto", LAYERS, CPU)


def picture(path: Path, long_side: int) -> Tensor:
    return resize_long_side(read_rgb(path, "picture"), long_side)


def distance(encoder: PerceptualFeatures, seen: Tensor, style: Tensor) -> float:
    grams, targets = (grams_of(encoder(one[None], GRAM_LAYERS)) for one in (seen, style))
    return float(relative_gram_loss(grams, targets))


class TestFile:
    def test_is_part_of_the_package_with_its_card(self):
        names = {item.name for item in importlib.resources.files("ins3d.perception").iterdir()}
        assert {"compact_encoder.safetensors", "compact_encoder.md"} <= names

    def test_is_small_and_the_card_gives_its_size(self, compact: PerceptualFeatures):
        number = sum(parameter.numel() for parameter in compact.parameters())
        card = COMPACT_FILE.with_suffix(".md").read_text()
        assert COMPACT_FILE.stat().st_size < 1.5e6
        assert f"{number:,} parameters" in card
        assert re.search(r"Simonyan and A. Zisserman.*CC BY 4.0", card)

    def test_is_what_a_cpu_takes_when_nothing_else_is_at_hand(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compact: PerceptualFeatures
    ):
        monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS", raising=False)
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        encoder = load_encoder(None, "auto", LAYERS, CPU)
        assert encoder.network == compact.network == "compact" and "no VGG weights are at hand" in encoder.source


class TestSight:
    def test_no_layer_is_dead(self, compact: PerceptualFeatures):
        shipped = Path(__file__).resolve().parents[2] / "scenes"
        paths = [*sorted((shipped / "still_life/images").iterdir())[:40:10], *sorted((shipped / "styles").glob("*.png"))]
        seen = [compact(picture(path, 128)[None]) for path in paths]
        maps = {layer: torch.cat([each[layer].flatten(2) for each in seen], dim=2) for layer in seen[0]}
        for layer, values in maps.items():
            assert float((values > 0).any(2).float().mean()) > 0.8, layer

    @pytest.mark.weights
    def test_finds_pictures_as_far_apart_as_vgg19_does(self, assets: Path, compact: PerceptualFeatures):
        """Photographs and paintings that it was not trained on; VGG-19 with every filter at the same scale."""
        vgg19 = load_encoder(assets / "vgg/vgg19_normalised_conv1_1-conv4_1_f16.safetensors", "auto", LAYERS, CPU)
        photographs = [picture(assets / f"images/kodak/{name}.png", 128) for name in ("03", "15", "23")]
        paintings = [picture(assets / "styles" / name, 128) for name in ("starry_night.jpg", "mosaic.jpg")]
        for photograph in photographs:
            for painting in paintings:
                true, seen = (distance(encoder, photograph, painting) for encoder in (vgg19, compact))
                assert seen == pytest.approx(true, rel=0.12)

    @pytest.mark.weights
    @pytest.mark.slow
    def test_painting_by_it_lowers_the_losses_of_vgg19(
        self, assets: Path, vgg19: PerceptualFeatures, compact: PerceptualFeatures
    ):
        content = picture(assets / "images/kodak/03.png", 112)
        style = picture(assets / "styles/starry_night.jpg", 112)
        options = PixelSettings(
            long_sides=(112,), steps=60, style_layers=GRAM_LAYERS, content_layers=CONTENT_LAYERS, content_weight=0.3,
            colors="none",
        )  # fmt: skip
        by_vgg, by_compact = (gatys(content, style, encoder, options) for encoder in (vgg19, compact))
        before, best, reached = (distance(vgg19, seen, style) for seen in (content, by_vgg, by_compact))
        assert before - reached > 0.8 * (before - best)
        # And it is still the content: nearer to it than the content upside down is.
        maps = vgg19(content[None], CONTENT_LAYERS)
        kept, turned = (
            float(content_loss(vgg19(seen[None], CONTENT_LAYERS), maps)) for seen in (by_compact, content.flip(1))
        )
        assert kept < 0.8 * turned
