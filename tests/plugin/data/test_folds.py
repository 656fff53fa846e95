import re
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType

from ins3d.plugin.data.folds import check_folds, reach_of

FIRST = Path("images/1.png")


def cameras(*radial: float, kind: CameraType = CameraType.PERSPECTIVE) -> Cameras:
    """Two of 80x60 with a focal length of 50: corners at 1 of it."""
    params = torch.tensor([[*radial, *[0.0] * (6 - len(radial))]]).repeat(2, 1)
    poses = torch.eye(4)[None, :3].repeat(2, 1, 1)
    return Cameras(poses, 50.0, 50.0, 40.0, 30.0, 80, 60, distortion_params=params, camera_type=kind)


def lines(*radial: float, kind: CameraType = CameraType.PERSPECTIVE) -> list[str]:
    notes: list[str] = []
    check_folds(cameras(*radial, kind=kind), FIRST, notes)
    return notes


class TestReach:
    @pytest.mark.parametrize("radial", [(-0.3, 0.05, 0, 0), (0.2, -0.3, 0, 0), (-0.1, 0.02, -0.05, 0.001)])
    def test_is_where_the_radius_is_largest_before_it_turns_back(self, radial: tuple[float, ...]):
        radius = np.linspace(0, 3, 300_001)
        seen = radius * (1 + sum(k * radius ** (2 * n) for n, k in enumerate(radial, 1)))
        falls = np.flatnonzero(np.diff(seen) < 0)
        expected = seen[falls[0]] if len(falls) else np.inf
        assert reach_of(np.array(radial)) == pytest.approx(expected, rel=1e-6)


class TestCheckFolds:
    @pytest.mark.parametrize("radial", [(0.0,), (0.0578421, -0.0805099), (-0.1, 0.02), (0.5,)])
    def test_lenses_as_they_are_pass(self, radial: tuple[float, ...]):
        assert lines(*radial) == []

    def test_wild_ones_are_refused(self):
        text = (
            "data: the lens of 1.png (k1 -2) turns back at 27% of the way from the middle to the corners, and has no rays "
            "beyond; correct its distortion (k1, k2, ...), or undistort the pictures."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            lines(-2.0)

    def test_lacking_corners_are_said(self):
        assert lines(-0.2) == [
            "The lens of 1.png (k1 -0.2) turns back at 86% of the way to the corners: what is learned there may be wrong."
        ]

    def test_pictures_all_around_have_none(self):
        assert lines(-2.0, kind=CameraType.EQUIRECTANGULAR) == []
