import torch
from torch import Tensor

from ins3d.transfer.flicker import Calmed


def textured(width: int = 160) -> Tensor:
    """What motion can be seen in."""
    noise = torch.rand(1, 3, 16, width // 6, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(noise, size=(96, width), mode="bicubic")[0].clamp(0, 1)


def flicker(frames: list[Tensor], shift: int = 0) -> float:
    """Mean change of a place from frame to frame, when the picture moves to the left by `shift`."""
    inner = frames[0].shape[2] - 32
    pairs = zip(frames, frames[1:], strict=False)
    return sum(float((b[:, 8:-8, 16 : inner - shift] - a[:, 8:-8, 16 + shift : inner]).abs().mean()) for a, b in pairs)


def test_noise_of_a_still_film_is_averaged():
    content, generator = textured(), torch.Generator().manual_seed(0)
    painted = [0.5 + 0.2 * torch.randn(content.shape, generator=generator) for _ in range(5)]
    for share, most in ((0.5, 0.62), (0.8, 0.3)):
        calmed = Calmed(share)
        assert flicker([calmed(content, each) for each in painted][1:]) < most * flicker(painted[1:])
    alone = Calmed(0.0)
    assert all(torch.equal(alone(content, each), each) for each in painted)


def test_what_moves_is_followed():
    wide, generator = textured(240), torch.Generator().manual_seed(0)
    frames = [wide[..., 3 * step : 3 * step + 160].contiguous() for step in range(4)]
    painted = [1 - each + 0.1 * torch.randn(each.shape, generator=generator) for each in frames]
    calmed = Calmed(0.6)
    found = [calmed(frame, each) for frame, each in zip(frames, painted, strict=True)]
    assert flicker(found, shift=3) < 0.7 * flicker(painted, shift=3)
    # And it is still where it was painted.
    assert (found[-1] - (1 - frames[-1]))[:, 8:-8, 8:-8].abs().mean() < 0.08


def test_a_cut_does_not_shine_through():
    calmed, generator = Calmed(0.9), torch.Generator().manual_seed(3)
    calmed(textured(), torch.zeros(3, 96, 160))
    other = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 20, generator=generator), size=(96, 160), mode="bicubic")[0]
    assert calmed(other.clamp(0, 1), torch.ones(3, 96, 160)).mean() > 0.6
