"""Per-picture measures, averaged over frames: distance to the style, distance to the content, blur."""

from collections.abc import Callable, Mapping
from math import inf, isnan
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.statistics import blur_numbers, colour_variance, structural_similarity
from ins3d.evaluation.style_distances import StyleDistances, content_distance, self_similarity
from ins3d.perception.features import PerceptualFeatures

Numbers = dict[str, float | None]
Picture = Float[Tensor, "3 _ _"]
Mask = Float[Tensor, "1 height width"]
MIN_COVERAGE = 1e-3
"""Share of a picture that an object must fill, or the picture says nothing about it."""


def judged_frames(frames: FrameFolder, bounded: bool) -> list[tuple[int, Mask | None]]:
    """Which frames are judged, and how much their pixels count: what shows through behind an object is not painted.

    Raises ValueError where no frame shows the object.
    """
    if not bounded:
        return [(frame, None) for frame in range(len(frames))]
    masks = [(frame, frames.view(frame).accumulation.clamp(0, 1)) for frame in range(len(frames))]
    seen: list[tuple[int, Mask | None]] = [(frame, mask) for frame, mask in masks if float(mask.mean()) >= MIN_COVERAGE]
    if not seen:
        raise ValueError(
            f"load-config: none of the {len(masks)} views in {frames.folder} shows the object; check its cameras."
        )
    return seen


def picture_numbers(
    frames: FrameFolder,
    rows: list[Row],
    bounded: bool,
    features: PerceptualFeatures,
    lpips: Callable[..., float] | None,
    paintings: Mapping[str, Picture],
) -> dict[str, Numbers]:
    """By row, means over frames. `colour_variance` is in shares of what the photograph and the row's painting allow, and
    `high_frequency` of the photographs'; `ssim`, `self_similarity`, `lpips`, `content` (features) and `edges` compare with
    the unstylised render.
    """
    variances = {name: colour_variance(painting) for name, painting in paintings.items()}

    def numbers(row: Row, frame: int, mask: Mask | None) -> dict[str, float]:
        rgb, photograph, plain = (frames.picture(each, frame) for each in (row, Row("photographs"), Row("unstylised")))
        found = blur_numbers(rgb, photograph, plain, mask, variances.get(row.style, inf))
        found["ssim"] = structural_similarity(rgb, plain, mask)
        found["self_similarity"] = self_similarity(features, rgb, plain, mask)
        found["content"] = content_distance(features, rgb, plain, mask)
        if lpips is not None:
            found["lpips"] = lpips(rgb, plain, None if mask is None else mask[0] > 0.5)
        return found

    judged = judged_frames(frames, bounded)
    return {row.label: mean_numbers([numbers(row, *each) for each in judged]) for row in rows}


def style_numbers(
    frames: FrameFolder, rows: list[Row], bounded: bool, distances: StyleDistances
) -> dict[str, dict[str, dict[str, float]]]:
    """{row: {distance: {style picture: mean over frames}}}."""
    judged = judged_frames(frames, bounded)
    return {row.label: distances.measure_all([(frames.picture(row, frame), mask) for frame, mask in judged]) for row in rows}


def geometry_numbers(frames: FrameFolder, bounded: bool) -> dict[str, Numbers]:
    """What was measured while rendering, by style and, on scenes with alpha, for the frozen field: means over frames."""
    told: list[dict[str, Any]] = [frames.numbers(frame) or {} for frame, _ in judged_frames(frames, bounded)]
    return {name: mean_numbers([each[name] for each in told]) for name in told[0]}


def mean_numbers(each: list[dict[str, float]]) -> Numbers:
    """The mean of every number, over those that have one; None where none has.

    >>> mean_numbers([{"ssim": 0.5}, {"ssim": 1.0}])
    {'ssim': 0.75}
    """
    found = {name: [numbers[name] for numbers in each if not isnan(numbers[name])] for name in each[0]}
    return {name: sum(values) / len(values) if values else None for name, values in found.items()}
