import torch

from ins3d.transfer.wct import LEVELS, WCT, _moments, whitened_and_colored


def features(random: torch.Generator, *size: int) -> torch.Tensor:
    mixed = torch.randn(6, 6, generator=random) @ torch.randn(6, size[0] * size[1], generator=random)
    return (mixed + torch.arange(6.0)[:, None]).reshape(1, 6, *size)


def test_features_get_the_styles_mean_and_covariance(random):
    content, style = features(random, 9, 11), features(random, 7, 8)
    found = whitened_and_colored(content, _moments(style[0].flatten(1), 0.5))[0].flatten(1)
    wanted = style[0].flatten(1)
    torch.testing.assert_close(found.mean(1), wanted.mean(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.cov(found, correction=0), torch.cov(wanted, correction=0), atol=1e-2, rtol=1e-3)


def test_a_picture_whitened_and_coloured_like_itself_is_itself(random):
    content = features(random, 9, 11)
    found = whitened_and_colored(content, _moments(content[0].flatten(1), 0.5))
    torch.testing.assert_close(found, content, atol=1e-3, rtol=1e-3)


def test_channels_that_say_nothing_are_no_noise(random):
    content, style = features(random, 9, 11), features(random, 7, 8)
    content[:, 2] = 0.5 + 1e-4 * torch.randn(9, 11, generator=random)
    found = whitened_and_colored(content, _moments(style[0].flatten(1), 0.5))
    assert found.isfinite().all() and found.abs().max() < 100


def test_a_region_is_whitened_by_itself(random):
    content, style = features(random, 8, 10), features(random, 7, 8)
    where = torch.zeros(1, 1, 8, 10)
    where[..., :5] = 1
    style_moments = _moments(style[0].flatten(1), 0.5)
    found = whitened_and_colored(content, style_moments, where)[..., :5]
    alone = whitened_and_colored(content[..., :5], style_moments)
    torch.testing.assert_close(found, alone, atol=1e-3, rtol=1e-3)


def test_levels_go_from_coarse_to_fine(encoder, picture):
    network, order = WCT(encoder).requires_grad_(False), []
    for level in LEVELS:
        network.decoders[level].register_forward_hook(lambda *_, level=level: order.append(level))
    network(picture(), picture())
    assert order == ["relu4_1", "relu3_1", "relu2_1", "relu1_1"]
