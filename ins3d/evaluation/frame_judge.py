"""Frames against a style: every number that brushwork is judged by, means over frames."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.evaluation.statistics import structural_similarity
from ins3d.evaluation.strokes import HYPERCOLUMN_LAYERS, StrokeJudge
from ins3d.files.pictures import resize_long_side
from ins3d.perception.losses import grams_of, relative_gram_loss
from ins3d.perception.weights import load_encoder
from ins3d.style.losses import GRAM_LAYERS
from ins3d.style.styles import find_styles

JUDGED_SIDE = 256
"""Short side in pixels at which frames are judged at most, and long side at which the style picture is."""
Frame = Float[Tensor, "3 _ _"]


def judge_frames(frames: Sequence[Frame], style: str, content: Sequence[Frame] = ()) -> dict[str, float]:
    """{gram, remd, coherence, spectrum}: how far painted frames, in [0, 1], are from a style's first picture.

    With as many `content` frames, `gram` is the ratio to theirs, and `ssim` says how much of them is left. But for ssim
    less is better, and none of them says it alone: look at the frames. Raises ValueError for no frames, or other numbers.

    >>> from ins3d.style.styles import DEFAULT_STYLE
    >>> sorted(judge_frames([torch.rand(3, 64, 64)], DEFAULT_STYLE))
    ['coherence', 'gram', 'remd', 'spectrum']
    """
    if not frames or (content and len(content) != len(frames)):
        raise ValueError(f"frames: {len(frames)} painted and {len(content)} of the content; give as many of both.")
    layers = tuple(dict.fromkeys([*HYPERCOLUMN_LAYERS, *GRAM_LAYERS]))
    features = load_encoder(None, "auto", layers, torch.device("cpu"))
    picture, _ = find_styles([style], "style")[0].read("style")[0]
    painting = resize_long_side(picture, JUDGED_SIDE)
    strokes, reference = StrokeJudge(features, painting), grams_of(features(painting[None], GRAM_LAYERS))

    def gram(frame: Tensor) -> float:
        return float(relative_gram_loss(grams_of(features(frame[None], GRAM_LAYERS)), reference))

    found = []
    for number, frame in enumerate(frames):
        painted = _reduced(frame)
        numbers = {"gram": gram(painted), **strokes.measure(painted)}
        if content:
            plain = _reduced(content[number])
            numbers |= {"gram": numbers["gram"] / gram(plain), "ssim": structural_similarity(painted, plain)}
        found.append(numbers)
    return {name: sum(each[name] for each in found) / len(found) for name in found[0]}


def _reduced(picture: Tensor) -> Tensor:
    factor = JUDGED_SIDE / min(picture.shape[1:])
    if factor >= 1:
        return picture.cpu()
    return F.interpolate(picture[None].cpu(), scale_factor=factor, mode="bilinear", antialias=True)[0].clamp(0, 1)
