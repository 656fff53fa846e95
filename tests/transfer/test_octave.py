import pytest
import torch
import torch.nn.functional as F

from ins3d.transfer import octave
from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.octave import OctaveAdaIN, OctaveConv


def test_without_a_low_branch_it_is_a_convolution(monkeypatch, random):
    monkeypatch.setattr(octave, "LOW_SHARE", 0.0)
    conv, picture = OctaveConv(3, 5), torch.randn(1, 3, 8, 6)
    high, low = conv(picture, None)
    padded = F.pad(picture, (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(high, F.conv2d(padded, conv.high_high.weight, conv.high_high.bias))
    assert low is None


def test_both_branches_hear_each_other(random):
    conv = OctaveConv(8, 8)
    high, low = torch.randn(1, 4, 8, 8, requires_grad=True), torch.randn(1, 4, 4, 4, requires_grad=True)
    for out in conv(high, low):
        gradients = torch.autograd.grad(out.sum(), (high, low), retain_graph=True)
        assert all(each.abs().sum() > 0 for each in gradients)


def test_a_flat_picture_stays_flat(random, encoder):
    """Zeros at the border, or pixels that are only repeated, would be seen in it: the source's checkerboard."""
    network = OctaveAdaIN(encoder).requires_grad_(False)
    painted = network.stylized(torch.full((1, 3, 64, 64), 0.3), [])
    assert painted.std((2, 3)).max() < 1e-5


@pytest.mark.parametrize(("high", "low", "moved"), [(1.0, 0.0, (0, 2)), (0.0, 1.0, (1, 3))])
def test_each_slider_moves_its_own_features(high, low, moved, encoder, picture):
    network = OctaveAdaIN(encoder).requires_grad_(False)
    network.strength_high, network.strength_low = high, low
    look = network.look_at(0.3 * picture(64, 64))
    seen: list[torch.Tensor] = []
    network.decoder.register_forward_hook(lambda _, given, out: seen.extend(given))
    features = network.encode((content := picture(64, 64))[None])
    network.paint(content, [(look, 1.0)])
    assert [number for number, each in enumerate(seen) if (each - features[number]).abs().max() > 1e-4] == list(moved)


def test_sliders_at_nothing_are_strength_at_nothing(encoder, picture):
    network, contents = OctaveAdaIN(encoder).requires_grad_(False), picture()[None]
    network.strength_high = network.strength_low = 0.0
    look = network.look_at(picture())
    torch.testing.assert_close(network.stylized(contents, [(look, 1.0)]), network.stylized(contents, []))


def test_the_encoder_learns_in_the_first_part_alone(encoder, picture, random):
    network = OctaveAdaIN(encoder)
    contents, styles = (torch.stack([picture(32, 32) for _ in range(2)]) for _ in range(2))
    judge = TransferJudge(encoder, contents)
    for done, learns in ((0.0, True), (0.9, False)):
        network.zero_grad()
        torch.stack(list(network.losses(judge, contents, styles, done).values())).sum().backward()
        assert any(each.grad is not None and bool(each.grad.any()) for each in network.octaves.parameters()) == learns
