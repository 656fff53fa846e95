"""Warps a picture to another frame by optical flow, with a mask of where the flow is consistent.

A flow says of each pixel of one frame where the other frame shows the same thing: in pixels, rightwards and downwards.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ins3d.evaluation.picture_warp import Warped, look_up, pixel_centers

Rule = Literal["pixel", "relative"]
"""How well the two flows of a pair must agree: to a pixel, or to a share of their length and away from boundaries."""
Valid = Literal["consistent", "splatted"]
"""Which pixels of a splatted picture count: those whose flows agree (ours), or all on which anything landed."""
IMPORTANCE = -10.0
"""By how much a splatted pixel's importance falls for each unit of content that does not fit."""


@dataclass(frozen=True)
class FlowPair:
    """The flows between a target frame and a source frame of the same size."""

    forward: Float[Tensor, "2 height width"]
    """From the target frame's pixels to the source frame."""
    backward: Float[Tensor, "2 height width"]
    """From the source frame's pixels to the target frame."""


def flow_places(flow: Float[Tensor, "2 height width"]) -> Float[Tensor, "height width 2"]:
    """Where in the other frame each pixel's centre is.

    >>> flow_places(torch.tensor([[[2.0, 2.0]], [[0.0, 1.0]]])).tolist()
    [[[2.5, 0.5], [3.5, 1.5]]]
    """
    height, width = flow.shape[1:]
    return pixel_centers(height, width, flow.device) + flow.permute(1, 2, 0)


def consistent(pair: FlowPair, rule: Rule) -> Bool[Tensor, "height width"]:
    """Target pixels from which the way to the source frame and back ends near where it began, inside both pictures.

    With f forward and b backward, looked up where f leads: "pixel" wants |f + b| < 1 px; "relative" wants
    |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, and no motion boundary of f (Sundaram et al. 2010; Ruder et al. 2016; spec I.6).
    """
    back, inside = look_up(pair.backward, flow_places(pair.forward))
    error = _squared(pair.forward + back)
    if rule == "pixel":
        return inside & (error < 1)
    near = error < 0.01 * (_squared(pair.forward) + _squared(back)) + 0.5
    return inside & near & ~motion_boundary(pair.forward)


def motion_boundary(flow: Float[Tensor, "2 height width"]) -> Bool[Tensor, "height width"]:
    """Pixels at which the flow f jumps, |grad f|^2 > 0.01 |f|^2 + 0.002 (central differences): there f is blurred.

    >>> motion_boundary(torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]).expand(2, 2, 5))[0].tolist()
    [False, False, True, True, False]
    """
    down, across = torch.gradient(flow, dim=(1, 2))
    return _squared(down) + _squared(across) > 0.01 * _squared(flow) + 0.002


def softmax_splat(
    source: Float[Tensor, "channels height width"],
    flow: Float[Tensor, "2 height width"],
    importance: Float[Tensor, "height width"],
) -> tuple[Float[Tensor, "channels height width"], Float[Tensor, "height width"]]:
    """(picture, coverage): each source pixel is moved along the flow, onto the four pixels around its place.

    What lands on one pixel is averaged by bilinear weight times exp(importance) (Niklaus & Liu 2020, softmax splatting).
    Coverage is the sum of bilinear weights alone; the picture is 0 where nothing lands.
    Differs from Niklaus & Liu: exp is taken relative to the greatest importance on each pixel, so that none underflows.

    >>> row, right = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]])
    >>> picture, coverage = softmax_splat(row, right, torch.zeros(1, 3))
    >>> picture.tolist(), coverage.tolist()
    ([[[0.0, 1.0, 2.0]]], [[0.0, 1.0, 1.0]])
    """
    pixels, landed, weights = _spread(flow)
    empty, scores = flow.new_zeros(importance.numel()), importance.flatten()[pixels]
    greatest = torch.full_like(empty, -torch.inf).scatter_reduce(0, landed, scores, "amax")
    shares = weights * (scores - greatest[landed]).exp()
    total = empty.index_add(0, landed, shares).clamp(min=torch.finfo(shares.dtype).tiny)
    values = source.flatten(1)
    picture = torch.zeros_like(values).index_add(1, landed, values[:, pixels] * (shares / total[landed]))
    return picture.view_as(source), empty.index_add(0, landed, weights).view_as(importance)


def protocol_a(
    source: Float[Tensor, "channels height width"],
    pair: FlowPair,
    content_source: Float[Tensor, "3 height width"],
    content_target: Float[Tensor, "3 height width"],
    valid: Valid = "consistent",
) -> Warped:
    """Splats the source frame onto the target frame: protocol A (peers.md 2a), that of StyleRF and StyleGaussian.

    Their author published code that was modified from RAFT's demo (StyleGaussian issue 5, 2024-04-26). A source pixel is the
    less important, the less its content (mean absolute difference of channels, in [0, 1]) is that of the target's content
    where it lands, times 10 as in the script of Stylos. Valid, by our rule, where coverage is above 0.5 and the flows are
    `consistent` by the relative rule; "splatted" is the author's: every pixel that splatting does not leave wholly black
    (StyleRF issue 7), holes and doubtful flow included. Differs from his: black paint counts, what nothing landed on does
    not. ValueError for pictures that are not as large as the flows.
    """
    for picture in (source, content_source, content_target):
        _refuse_another_size(picture, pair)
    expected, _ = look_up(content_target, flow_places(pair.backward))
    importance = IMPORTANCE * (content_source - expected).abs().mean(0)
    picture, coverage = softmax_splat(source, pair.backward, importance)
    landed = coverage > 0 if valid == "splatted" else (coverage > 0.5) & consistent(pair, "relative")
    return Warped(picture, landed)


def protocol_b(source: Float[Tensor, "channels height width"], pair: FlowPair) -> Warped:
    """Looks the source frame up along the flow, trusted to 1 px: protocol B, of the 3D-stylisation survey (IJCV 2025).

    ValueError for a picture that is not as large as the flows.
    """
    _refuse_another_size(source, pair)
    picture, _ = look_up(source, flow_places(pair.forward))
    return Warped(picture, consistent(pair, "pixel"))


def _refuse_another_size(picture: Float[Tensor, "channels height width"], pair: FlowPair) -> None:
    (height, width), (rows, columns) = picture.shape[1:], pair.forward.shape[1:]
    if (height, width) != (rows, columns):
        raise ValueError(
            f"flow: a picture has {width}x{height} pixels and the flow {columns}x{rows}; give frames of the size that the "
            "flow was found at."
        )


def _spread(
    flow: Float[Tensor, "2 height width"],
) -> tuple[Int[Tensor, " landings"], Int[Tensor, " landings"], Float[Tensor, " landings"]]:
    """(source pixel, target pixel, bilinear weight above 0) of all that lands inside the picture; pixels row by row."""
    height, width = flow.shape[1:]
    places = flow_places(flow).reshape(-1, 1, 2) - 0.5
    corners = places.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
    cells = places.floor() + corners
    weights = (1 - (places - cells).abs()).prod(-1)
    inside = ((cells >= 0) & (cells < places.new_tensor([width, height]))).all(-1)
    kept = inside & (weights > 0)
    pixels = torch.arange(height * width, device=flow.device)[:, None].expand_as(kept)
    columns, rows = cells[kept].long().unbind(-1)
    return pixels[kept], rows * width + columns, weights[kept]


def _squared(vectors: Float[Tensor, "2 height width"]) -> Float[Tensor, "height width"]:
    return vectors.square().sum(0)
