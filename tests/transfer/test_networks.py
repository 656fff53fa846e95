"""What all networks have in common, each small and untrained: sizes, shares, regions, files, gradients."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file

from ins3d.transfer import methods
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.methods import NETWORKS, Method, load_network, new_network, read_card, save_network
from ins3d.transfer.network import MOST_PIXELS, TransferNetwork
from ins3d.transfer.style_net import OneStyle

CPU = torch.device("cpu")
ANY_STYLE = [name for name, network in NETWORKS.items() if not issubclass(network, OneStyle)]
EVERY = pytest.mark.parametrize("method", ANY_STYLE)


def made(method: str, encoder: Any) -> TransferNetwork:
    """With numbers in the layers that begin as zeros, so that styles are seen."""
    network = new_network(method, encoder)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if not bool(weights.any()):
                weights.copy_(0.2 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(len(name))))
    return network.eval().requires_grad_(False)


@EVERY
@pytest.mark.parametrize("size", [(33, 47), (32, 640), (50, 64)])
def test_pictures_keep_their_size(method, size, encoder, picture):
    network = made(method, encoder)
    painted = network(picture(*size), picture(45, 39))
    assert painted.shape == (3, *size) and 0 <= painted.min() and painted.max() <= 1 and painted.std() > 1e-3


@EVERY
def test_another_style_is_another_picture_and_the_same_the_same(method, encoder, picture):
    network, content, one, other = made(method, encoder), picture(), picture(), 0.3 * picture(64, 48)
    assert torch.equal(network(content, one), network(content, one))
    assert (network(content, one) - network(content, other)).abs().max() > 1e-3


@EVERY
def test_pictures_of_one_colour_and_equal_ones_are_painted(method, encoder, picture):
    network, flat = made(method, encoder), torch.full((3, 40, 40), 0.5)
    for content, style in ((flat, flat), (picture(40, 40), flat), (flat, torch.zeros(3, 40, 40))):
        assert network(content, style).isfinite().all()


@EVERY
class TestShares:
    def test_nothing_of_a_style_is_the_content(self, method, encoder, picture):
        network, content, style = made(method, encoder), picture(), picture()
        for painted in (network(content, style, 0.0), network.paint(content, [])):
            torch.testing.assert_close(painted, content, atol=1e-4, rtol=0)

    def test_two_halves_of_a_style_are_one(self, method, encoder, picture):
        network, content = made(method, encoder), picture()
        look = network.look_at(picture())
        torch.testing.assert_close(
            network.paint(content, [(look, 0.5), (look, 0.5)]), network.paint(content, [(look, 1.0)]), atol=1e-4, rtol=0
        )

    def test_a_map_that_is_the_same_everywhere_is_a_number(self, method, encoder, picture):
        network, content = made(method, encoder), picture()
        look, everywhere = network.look_at(picture()), torch.full((1, 48, 64), 0.5)
        torch.testing.assert_close(
            network.paint(content, [(look, everywhere)]), network.paint(content, [(look, 0.5)]), atol=2e-2, rtol=0
        )

    def test_regions_are_painted_each_by_its_own(self, method, encoder, picture):
        network, content = made(method, encoder), picture(64, 256)
        looks = [network.look_at(picture()), network.look_at(0.3 * picture())]
        left = torch.zeros(1, 64, 256)
        left[..., :128] = 1
        both = network.paint(content, [(looks[0], left), (looks[1], 1 - left)])
        other = network.paint(content, [(looks[0], left), (looks[0], 1 - left)])
        apart = (both - other).abs()[..., :].mean((0, 1))
        assert apart[192:].mean() > 1e-3
        assert apart[:48].mean() < 0.1 * apart[192:].mean()

    @pytest.mark.parametrize("shares", [(-0.1,), (1.2,), (0.6, 0.6)])
    def test_refuses_more_than_all_and_less_than_nothing(self, method, shares, encoder, picture):
        network, content = made(method, encoder), picture()
        look = network.look_at(content)
        with pytest.raises(ValueError, match="^strength: shares of styles lie between 0 and 1"):
            network.paint(content, [(look, share) for share in shares])


@EVERY
def test_small_and_large_pictures_are_refused_by_their_size(method, encoder, picture):
    network = made(method, encoder)
    least = network.smallest_side
    with pytest.raises(ValueError) as error:
        network(picture(least, least - 1), picture())
    assert str(error.value) == (
        f"a picture of {least - 1}x{least} pixels is too small to be painted; use at least {least} pixels a side."
    )
    with pytest.raises(ValueError, match=r"^a style of 8x8 pixels is too small"):
        network.look_at(picture(8, 8))
    huge = torch.zeros(1, 1, 1).expand(3, 2 * MOST_PIXELS // 4096, 4096)
    with pytest.raises(ValueError, match=r"^a picture of 4096x8192 pixels is too large.*; use a size of 5792 or less\.$"):
        network.paint(huge, [])


@EVERY
@pytest.mark.parametrize("done", [0.0, 0.9])
def test_what_is_trained_gets_gradients_and_the_encoder_none(method, done, encoder, picture, random):
    network: Any = new_network(method, encoder)
    contents, styles = (torch.stack([picture(32, 32) for _ in range(2)]) for _ in range(2))
    judge = TransferJudge(encoder, torch.cat([contents, styles]))
    losses = network.losses(judge, contents, styles, done)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total.isfinite() and all(name.endswith("_loss") for name in losses)
    decoders = [weights for name, weights in network.named_parameters() if name.startswith("decoder")]
    moved = [each.grad is not None and bool(each.grad.any()) for each in decoders]
    assert sum(moved) > 0.8 * len(decoders) > 0  # of so few channels some are dead
    assert all(each.grad is None for each in encoder.parameters())


@EVERY
def test_a_few_steps_lower_the_losses(method, encoder, picture, random):
    network: Any = new_network(method, encoder)
    contents, styles = (torch.stack([picture(32, 32) for _ in range(2)]) for _ in range(2))
    judge = TransferJudge(encoder, torch.cat([contents, styles]))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    found = []
    for _ in range(30):
        torch.manual_seed(0)
        total = torch.stack(list(network.losses(judge, contents, styles, 0.9).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        found.append(float(total.detach()))
    assert min(found[-5:]) < 0.97 * found[0]


class TestFiles:
    @pytest.fixture
    def saved(self, encoder: Any) -> TransferNetwork:
        return made("adain", encoder)

    @pytest.fixture
    def file(self, saved: TransferNetwork, encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(methods, "encoder_of", lambda *_: encoder)
        path = tmp_path / "own.safetensors"
        save_network(path, saved, {"method": "adain", "width": "compact", "steps": 7})
        return path

    def test_what_is_read_paints_as_what_was_saved(self, file, saved, picture):
        network, content, style = load_network("adain", file, CPU), picture(), picture()
        torch.testing.assert_close(network(content, style), saved(content, style), atol=5e-3, rtol=0)
        assert read_card(file)["steps"] == 7 and network.source == "adain (compact) from own.safetensors, named"
        assert file.stat().st_size < 2.2 * sum(each.numel() for each in network.parameters()) + 4000

    def test_weights_of_another_method_are_refused_by_name(self, file):
        with pytest.raises(ValueError) as error:
            load_network("sanet", file, CPU)
        assert str(error.value) == f"weights: {file} holds adain, and sanet was asked for; use --method adain."

    def test_other_files_are_refused(self, file, tmp_path):
        text, foreign, other = tmp_path / "a.txt", tmp_path / "b.safetensors", tmp_path / "c.safetensors"
        text.write_text("no weights")
        save_file({"a": torch.ones(1)}, foreign)
        card = {"method": "adain", "width": "compact"}
        save_file({"decoder.a": torch.ones(1)}, other, {"card": json.dumps(card)})
        for path in (text, foreign):
            with pytest.raises(ValueError, match="holds no network of this project's; give a file that scripts/make/train"):
                load_network("adain", path, CPU)
        with pytest.raises(ValueError, match=r"does not fit adain \(decoder.convs.0.weight is missing\); give a file"):
            load_network("adain", other, CPU)
        with pytest.raises(FileNotFoundError, match="^weights: gone does not exist; give a file"):
            load_network("adain", Path("gone"), CPU)


def test_every_method_has_a_network():
    assert set(NETWORKS) == set(get_args(Method))
