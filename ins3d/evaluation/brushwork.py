"""Brushwork of held-out views, of what they were made from, and of the same views painted one by one, at two sizes."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float

from ins3d.evaluation.frame_judge import JUDGED_SIDE, FrameJudge, own_side
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.measures import Mask, Numbers, Picture, judged_frames, mean_numbers
from ins3d.evaluation.stages import tracked
from ins3d.perception.features import PerceptualFeatures

SEEN = 0.5
"""A weight of the mask from which on a pixel shows the object."""
LEAST = 32
"""Pixels a side: of a smaller object its surroundings are looked at, too, or no network could see it."""
Brushwork = dict[str, dict[str, dict[str, Numbers]]]
"""{style: {short side in pixels: {row: numbers}}}; the last side is the frames' own."""


def brushwork_numbers(
    frames: FrameFolder, rows: list[Row], bounded: bool, features: PerceptualFeatures, paintings: Mapping[str, Picture]
) -> Brushwork:
    """For each style its own rows and those of none: {gram, remd, coherence, spectrum, ssim}, means over frames.

    See `evaluation.frame_judge`: at a short side of JUDGED_SIDE, which says composition, and at the frames' own, as
    a user looks at them. `gram` is a share of the unstylised render's.
    """
    judged, first = judged_frames(frames, bounded), frames.picture(Row("unstylised"), 0)
    found: Brushwork = {}
    for style, painting in tracked(paintings.items(), "held-out: brushwork"):
        sides = dict.fromkeys((JUDGED_SIDE, own_side(first, painting)))
        judges = {str(side): FrameJudge(features, painting, side) for side in sides}
        of_style = [row for row in rows if row.style in ("", style)]
        found[style] = {
            side: {row.label: _mean(frames, row, judged, judge, painting) for row in of_style}
            for side, judge in judges.items()
        }
    return found


def _mean(
    frames: FrameFolder, row: Row, judged: list[tuple[int, Mask | None]], judge: FrameJudge, painting: Picture
) -> Numbers:
    behind = painting.mean((1, 2))
    numbers = []
    for frame, mask in judged:
        shown = [cut_out(frames.picture(each, frame), mask, behind) for each in (row, Row("unstylised"))]
        numbers.append(judge.measure(*shown))
    return mean_numbers(numbers)


def cut_out(picture: Picture, mask: Mask | None, behind: Float[torch.Tensor, "3"]) -> Picture:
    """The object in its box, laid over the painting's mean colour: what is around it is not painted; all without a mask.

    >>> mask = torch.zeros(1, 60, 90)
    >>> mask[:, :50, 40:43] = 1
    >>> cut_out(torch.ones(3, 60, 90), mask, torch.zeros(3)).shape  # three pixels are too few to be judged
    torch.Size([3, 50, 32])
    """
    if mask is None:
        return picture
    seen = mask[0] >= min(SEEN, float(mask.max()))
    box = (..., _reach(seen.any(1)), _reach(seen.any(0)))
    return picture[box] * mask[box] + behind.to(picture)[:, None, None] * (1 - mask[box])


def _reach(seen: Bool[torch.Tensor, " pixels"]) -> slice:
    """From the first to the last along one axis, LEAST pixels at least where there are as many."""
    found = seen.nonzero().flatten()
    first, last = int(found[0]), int(found[-1]) + 1
    first = max(min(first, (first + last - LEAST) // 2, len(seen) - LEAST), 0)
    return slice(first, max(last, first + LEAST))
