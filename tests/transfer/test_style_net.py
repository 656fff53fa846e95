from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ins3d.transfer.judging import TransferJudge
from ins3d.transfer.style_net import Johnson, OneStyle, TextureNet

BOTH = pytest.mark.parametrize("kind", [Johnson, TextureNet])


@BOTH
@pytest.mark.parametrize("size", [(73, 65), (64, 300), (64, 64)])
def test_pictures_keep_their_size(kind: type[OneStyle], size, picture, random):
    painted = kind().eval().paint(picture(*size), [(None, 1.0)])
    assert painted.shape == (3, *size) and painted.isfinite().all()


@BOTH
def test_strength_mixes_with_the_content(kind: type[OneStyle], picture, random):
    network, content = kind().eval(), picture(64, 96)
    torch.manual_seed(0)
    whole = network.paint(content, [(None, 1.0)])
    torch.manual_seed(0)
    half = network.paint(content, [(None, 0.5)])
    inner = (whole > 0.01) & (whole < 0.99)
    torch.testing.assert_close(half[inner], ((whole + content) / 2)[inner], atol=1e-5, rtol=0)
    assert torch.equal(network.paint(content, []), content)


def test_instance_normalisation_forgets_contrast_and_batch_normalisation_does_not(picture, random):
    content = picture(64, 64)
    faint = 0.5 + 0.2 * (content - 0.5)
    apart = {}
    for norm in ("instance", "batch"):
        network = Johnson(norm=norm)  # type: ignore[arg-type]
        with torch.no_grad():
            for _ in range(20):  # what batch normalisation remembers
                network.picture(torch.stack([picture(64, 64) for _ in range(4)]))
            network.eval()
            whole, less = (network.picture(each[None]) for each in (content, faint))
        apart[norm] = float((whole - less).std() / whole.std())
    assert apart["instance"] < 0.05 < 0.3 < apart["batch"]


class TestTexture:
    def test_of_any_size_and_the_same_for_a_seed(self, random):
        network = TextureNet().eval()
        one, again, other = (network.texture(50, 70, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert one.shape == (3, 50, 70) and torch.equal(one, again) and not torch.equal(one, other)

    def test_features_of_all_scales_meet(self, random):
        network, sizes = TextureNet().eval(), []
        for block in network.inputs:
            block.register_forward_hook(lambda _, given, out: sizes.append(given[0].shape[2]))
        network.texture(64, 64, torch.Generator().manual_seed(0))
        assert sizes == [2, 4, 8, 16, 32, 64]


@BOTH
def test_a_style_is_learned(kind: type[Any], encoder: Any, picture: Callable[..., Tensor], random):
    network = kind()
    contents, style = torch.stack([picture(64, 64) for _ in range(4)]), 0.3 * picture(64, 64)
    judge, styles = TransferJudge(encoder, contents), style[None].expand(4, -1, -1, -1)
    optimizer, found = torch.optim.Adam(network.parameters(), 5e-3), []
    for _ in range(40):
        losses = network.losses(judge, contents, styles, 0.0)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        found.append(float(losses["style_loss"].detach()))
    assert sum(found[-5:]) < 0.7 * sum(found[:5])
