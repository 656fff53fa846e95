"""Frames against a style: every number that brushwork is judged by, means over frames."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.evaluation.statistics import structural_similarity
from ins3d.evaluation.strokes import HYPERCOLUMN_LAYERS, StrokeJudge
from ins3d.files.pictures import resize_long_side
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import grams_of, relative_gram_loss
from ins3d.perception.weights import load_encoder
from ins3d.style.losses import GRAM_LAYERS
from ins3d.style.styles import find_styles

JUDGED_SIDE = 256
"""Short side in pixels at which frames are judged at most, and long side at which the style picture is: composition."""
OWN_SIDE = 1080
"""Short side at most of frames that are judged at their own size, as a user looks at them: brushwork, blur, marbling."""
LONGEST = 2
"""Frames longer than this many short sides are reduced to as many pixels: VGG-19 takes 3.3 GB for 1024x2048, the compact
encoder 1.4."""
JUDGE_LAYERS = tuple(dict.fromkeys([*HYPERCOLUMN_LAYERS, *GRAM_LAYERS]))
Frame = Float[Tensor, "3 _ _"]


def judge_frames(
    frames: Sequence[Frame], style: str, content: Sequence[Frame] = (), short_side: int | None = JUDGED_SIDE
) -> dict[str, float]:
    """{gram, remd, coherence, spectrum}: how far painted frames, in [0, 1], are from a style's first picture.

    With as many `content` frames, `gram` is the ratio to theirs, and `ssim` says how much of them is left. But for ssim
    less is better, and none of them says it alone: look at the frames. Raises ValueError for no frames, or other numbers.

    Frames are reduced to a `short_side` in pixels, and the painting's long side is as long. What looks well there may be
    blurred or marbled when it is looked at: None judges frames at their own size, up to 1080 and to the painting's own
    (finer than that nothing is known of it). Frames may be a lazy sequence: one is held at a time.

    >>> from ins3d.style.styles import DEFAULT_STYLE
    >>> sorted(judge_frames([torch.rand(3, 64, 64)], DEFAULT_STYLE))
    ['coherence', 'gram', 'remd', 'spectrum']
    """
    if not frames or (content and len(content) != len(frames)):
        raise ValueError(f"frames: {len(frames)} painted and {len(content)} of the content; give as many of both.")
    painting, _ = find_styles([style], "style")[0].read("style")[0]
    judge = FrameJudge(load_judge(), painting, short_side or own_side(frames[0], painting))
    found = [judge.measure(frame, content[number] if content else None) for number, frame in enumerate(frames)]
    return {name: sum(each[name] for each in found) / len(found) for name in found[0]}


def load_judge() -> PerceptualFeatures:
    """The encoder that judges: what INS3D_PERCEPTUAL_WEIGHTS names or torch has cached, else the compact one."""
    return load_encoder(None, "auto", JUDGE_LAYERS, torch.device("cpu"))


def own_side(frame: Frame, painting: Frame) -> int:
    """The short side at which frames are judged at their own size: no larger than 1080, or than the painting is known.

    >>> small, large = torch.zeros(3, 540, 960), torch.zeros(3, 1080, 1920)
    >>> own_side(small, large), own_side(large, small)
    (540, 960)
    """
    return min(*frame.shape[1:], max(painting.shape[1:]), OWN_SIDE)


class FrameJudge:
    """Compares frames with one painting at one size; the painting's own numbers are computed once."""

    def __init__(self, features: PerceptualFeatures, painting: Frame, side: int) -> None:
        """`features` have JUDGE_LAYERS. `side`, in pixels, is the frames' short side at most and the painting's long one."""
        self.features, self.side, self.device = features, side, features.mean.device
        painting = resize_long_side(painting, side).to(self.device)
        self.strokes = StrokeJudge(features, painting)
        self.reference = grams_of(features(painting[None], GRAM_LAYERS))

    def measure(self, frame: Frame, plain: Frame | None = None) -> dict[str, float]:
        """{gram, remd, coherence, spectrum} of a frame; with the same frame of the content also ssim (see judge_frames)."""
        frame = self._reduced(frame)
        maps = self.features(frame[None])
        found = {"gram": self._gram(maps), **self.strokes.measure(frame, maps)}
        if plain is not None:
            plain = self._reduced(plain)
            found["gram"] /= self._gram(self.features(plain[None], GRAM_LAYERS))
            found["ssim"] = structural_similarity(frame, plain)
        return found

    def _gram(self, maps: dict[str, Tensor]) -> float:
        return float(relative_gram_loss(grams_of({layer: maps[layer] for layer in GRAM_LAYERS}), self.reference))

    def _reduced(self, picture: Frame) -> Frame:
        height, width = picture.shape[1:]
        factor = min(self.side / min(height, width), self.side * (LONGEST / (height * width)) ** 0.5)
        picture = picture.to(self.device)
        if factor >= 1:
            return picture
        return F.interpolate(picture[None], scale_factor=factor, mode="bilinear", antialias=True)[0].clamp(0, 1)
