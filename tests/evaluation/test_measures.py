from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.evaluation.frames import FrameFolder
from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.evaluation.measures import judged_frames


def folder_of(path: Path, *accumulations: Tensor) -> FrameFolder:
    frames = FrameFolder(path)
    for frame, accumulation in enumerate(accumulations):
        camera = (torch.eye(4)[:3], torch.tensor([20.0, 20, 20, 15]), torch.zeros(6))
        frames.write_geometry(frame, GeometryView(*camera, torch.ones(1, 30, 40), accumulation), {})
    return frames


def test_views_that_show_nothing_of_an_object_are_not_judged(tmp_path: Path):
    empty, object_ = torch.zeros(1, 30, 40), torch.zeros(1, 30, 40)
    object_[:, 10:20, 10:20] = 0.5
    frames = folder_of(tmp_path, empty, object_, empty)
    (frame, mask), *others = judged_frames(frames, bounded=True)
    assert frame == 1 and torch.equal(mask, object_) and not others
    assert judged_frames(frames, bounded=False) == [(0, None), (1, None), (2, None)]


def test_says_that_no_view_shows_the_object(tmp_path: Path):
    text = rf"^load-config: none of the 2 views in {tmp_path} shows the object; check its cameras\.$"
    with pytest.raises(ValueError, match=text):
        judged_frames(folder_of(tmp_path, *torch.zeros(2, 1, 30, 40)), bounded=True)
