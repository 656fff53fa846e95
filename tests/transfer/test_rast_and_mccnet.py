import torch
from torch import Tensor

from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.mccnet import ChannelCorrelation
from ins3d.transfer.rast import LEAST_APART, RAST


class Copies(RAST):
    """Shows the content, whatever the style."""

    def painted(self, features, look) -> Tensor:
        return self.pictures.pop(0)

    pictures: list[Tensor]


def test_a_network_that_changes_nothing_restores_all_and_is_told_to_change(encoder, picture):
    contents, styles = picture(32, 32)[None], 0.4 * picture(32, 32)[None]
    network = Copies(encoder)
    # o = c, o' = s, and both identities; then c' = T(o, c), s' = T(s, o), c'' = T(c, o'), s'' = T(o', s).
    network.pictures = [torch.cat([contents, styles] * 2), torch.cat([contents, styles] * 2)]
    judge = TransferJudge(encoder, torch.cat([contents, styles]))
    losses = network.losses(judge, contents, styles, 0.5)
    for name in ("restoration_loss", "alike_loss", "identity_loss", "feature_identity_loss"):
        assert float(losses[name]) < 1e-8, name
    assert abs(float(losses["difference_loss"]) - 2 * 2 / LEAST_APART) < 1e-3


class TestChannelCorrelation:
    def test_where_a_style_has_what_does_not_matter(self, random):
        layer, style = ChannelCorrelation(5).requires_grad_(False), torch.randn(1, 5, 4, 6)
        moved = style.flatten(2)[..., torch.randperm(24)].unflatten(2, (6, 4))
        torch.testing.assert_close(layer.style_of(moved), layer.style_of(style), atol=1e-4, rtol=1e-4)

    def test_channels_whose_values_cancel_out_weigh_no_more_than_ten_times_their_size(self, random):
        layer = ChannelCorrelation(5).requires_grad_(False)
        layer.of_style.bias.zero_()  # of normalised features the sum is then nothing
        layer.weigh.weight.copy_(torch.eye(5))
        layer.weigh.bias.zero_()
        style = torch.randn(1, 5, 4, 6)
        seen = layer.of_style((style - style.mean((2, 3), keepdim=True)) / style.std((2, 3), keepdim=True))
        size = seen.square().mean((2, 3)).sqrt()
        assert torch.all(layer.style_of(style)[..., 0, 0].abs() <= 10.01 * size + 1e-4)

    def test_places_are_changed_alike(self, random):
        layer = ChannelCorrelation(5).requires_grad_(False)
        torch.nn.init.normal_(layer.out.weight)
        content, look = torch.randn(1, 5, 4, 6), layer.style_of(torch.randn(1, 5, 3, 3))
        order = torch.randperm(24)
        moved = content.flatten(2)[..., order].unflatten(2, (4, 6))
        wanted = layer(content, look, None).flatten(2)[..., order].unflatten(2, (4, 6))
        torch.testing.assert_close(layer(moved, look, None), wanted, atol=1e-5, rtol=1e-5)
