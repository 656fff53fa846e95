import base64
from pathlib import Path

import pytest
import torch

from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.evaluation.picture_warp import Warped
from ins3d.evaluation.pictures import MAX_ERROR, embedded, error_map, flicker_strip, views

STEADY, TORN = Row("stylised", "wave"), Row("per-frame", "wave")


@pytest.fixture
def frames(tmp_path: Path) -> FrameFolder:
    """Six frames: one row stays as it is, the other is black and white in turn."""
    folder = FrameFolder(tmp_path)
    view = GeometryView(torch.eye(3, 4), torch.ones(4), torch.zeros(6), torch.ones(1, 24, 32), torch.ones(1, 24, 32))
    for frame in range(6):
        folder.write_picture(STEADY, frame, torch.linspace(0, 1, 24)[:, None].expand(3, 24, 32))
        folder.write_picture(TORN, frame, torch.full((3, 24, 32), float(frame % 2)))
        folder.write_geometry(frame, view, {})
    return folder


def test_the_strip_of_what_stays_is_smooth_and_of_what_flickers_is_torn(frames: FrameFolder):
    steady, torn = flicker_strip(frames, STEADY), flicker_strip(frames, TORN)
    assert steady.shape == torn.shape == (3, 24, 480)  # six frames, wide enough to be seen
    assert float(steady.diff(dim=2).abs().max()) == 0
    assert torn[0, 0].tolist() == ([0] * 80 + [1] * 80) * 3


def test_views_are_spread_and_no_larger_than_asked(frames: FrameFolder):
    found = views(frames, TORN, max_frames=3)
    assert [float(picture.mean()) for picture in found] == [0, 0, 1]  # frames 0, 2 (of 2.5, rounded to even) and 5
    assert [tuple(picture.shape) for picture in found] == [(3, 24, 32)] * 3
    assert views(frames, TORN, long_side=16)[0].shape == (3, 12, 16)


def test_the_error_map_is_black_where_frames_agree_bright_where_not_and_grey_where_nothing_compares(frames: FrameFolder):
    def warp(picture: torch.Tensor) -> Warped:
        changed, valid = picture.clone(), torch.ones(24, 32, dtype=torch.bool)
        changed[:, :, 16:] += MAX_ERROR
        valid[:8] = False
        return Warped(changed, valid)

    ours, warped, heat = error_map(frames, STEADY, 0, 1, warp).split(32, dim=2)
    torch.testing.assert_close(ours, frames.picture(STEADY, 0))
    assert float(heat[:, 8:, :16].mean()) < 0.02
    assert float(heat[:, 8:, 16:].mean(0).min()) > 0.6
    assert heat[:, :8].unique().tolist() == [0.5] and warped[:, :8].unique().tolist() == [0.5]


def test_what_is_embedded_is_a_jpeg():
    kind, _, data = embedded(torch.rand(3, 16, 16)).partition(",")
    assert kind == "data:image/jpeg;base64" and base64.b64decode(data)[:3] == b"\xff\xd8\xff"
