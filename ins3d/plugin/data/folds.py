"""Lenses whose distortion turns back before the picture ends: no ray is seen by what lies beyond."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType

FLAT = (CameraType.PERSPECTIVE.value, CameraType.FISHEYE.value)
MOST = 0.7
"""Of the way from the middle to the corners: a lens that turns back before that is wrong, and not just badly measured."""


def reach_of(radial: Float[np.ndarray, " 4"]) -> float:
    """How far from the middle, over the focal length, a distortion r (1 + k1 r^2 + ... + k4 r^8) shows anything.

    >>> reach_of(np.array([-1 / 3, 0, 0, 0])).__round__(6), reach_of(np.array([0.1, 0, 0, 0]))
    (0.666667, inf)
    """
    slopes = np.polynomial.Polynomial([1, *(radial * (3, 5, 7, 9))]).roots()  # of its derivative, by the square of r
    turns = slopes.real[(np.abs(slopes.imag) < 1e-9) & (slopes.real > 0)]
    if not len(turns):
        return float("inf")
    first = turns.min()
    return float(np.sqrt(first) * np.polynomial.Polynomial([1, *radial])(first))


def check_folds(cameras: Cameras, first: Path, notes: list[str]) -> None:
    """Refuses lenses that show less than `MOST` of a picture, naming `data`, and adds a line on those that lack its corners.

    `first` is the first picture.
    """
    if cameras.distortion_params is None:
        return
    columns = [cameras.distortion_params[:, :4], *(getattr(cameras, name) for name in ("fx", "fy", "cx", "cy"))]
    columns += [cameras.width, cameras.height, cameras.camera_type]
    lenses = torch.cat([column.double() for column in columns], dim=-1).unique(dim=0).numpy()
    shares = {tuple(lens[:4]): _share(lens) for lens in lenses if int(lens[-1]) in FLAT and lens[:4].any()}
    worst = min(shares, key=lambda lens: shares[lens], default=None)
    if worst is None or shares[worst] >= 1:
        return
    told = ", ".join(f"k{number} {value:.3g}" for number, value in enumerate(worst, 1) if value)
    whose = f"of {first.name}" if len(shares) == 1 else "of some pictures"
    what = f"the lens {whose} ({told}) turns back at {shares[worst]:.0%} of the way"
    if shares[worst] < MOST:
        raise ValueError(
            f"data: {what} from the middle to the corners, and has no rays beyond; correct its distortion (k1, k2, ...), or "
            "undistort the pictures."
        )
    notes.append(f"{what[0].upper()}{what[1:]} to the corners: what is learned there may be wrong.")


def _share(lens: np.ndarray) -> float:
    """How far it reaches, of the way to the furthest corner."""
    fx, fy, cx, cy, width, height = lens[4:10]
    corner = np.hypot(max(cx, width - cx) / fx, max(cy, height - cy) / fy)
    return reach_of(lens[:4]) / corner
