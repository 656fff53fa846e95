import torch

from ins3d.transfer.statistics import adain, channel_statistics, normalized


def features(random: torch.Generator, height: int = 9, width: int = 7) -> torch.Tensor:
    scale = torch.tensor([0.1, 1.0, 5.0]).reshape(1, 3, 1, 1)
    return torch.randn(2, 3, height, width, generator=random) * scale + scale


def test_adain_gives_the_styles_statistics_and_leaves_its_own_alone(random):
    content, style = features(random), features(random, 5, 11)
    found = channel_statistics(adain(content, channel_statistics(style)))
    for ours, theirs in zip(found, channel_statistics(style), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(adain(content, channel_statistics(content)), content, atol=1e-5, rtol=0)


def test_a_region_is_measured_alone(random):
    content = features(random)
    content[..., :3] += 7  # another region's
    where = torch.ones(2, 1, 9, 7)
    where[..., :3] = 0
    found = normalized(content, where)[..., 3:]
    torch.testing.assert_close(found.mean((2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    assert normalized(content)[..., 3:].mean((2, 3)).abs().max() > 0.1
    all_of_it = normalized(content, torch.ones(2, 1, 18, 14))  # weights of pixels, twice as many
    torch.testing.assert_close(all_of_it, normalized(content), atol=1e-2, rtol=1e-2)
