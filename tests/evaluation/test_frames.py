from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.evaluation import frames as frames_module
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import GeometryView

OURS = Row("stylised", "starry night")


def some_view(random: torch.Generator) -> GeometryView:
    distance = torch.rand(1, 20, 24, generator=random)
    return GeometryView(torch.eye(3, 4), torch.arange(4.0), torch.zeros(6), distance, distance / 2)


class TestRow:
    def test_labels_and_folders_tell_kinds_and_styles_apart(self):
        rows = [Row("photographs"), Row("unstylised"), OURS, Row("per-frame", "starry night"), Row("stylised", "wave")]
        assert len({row.label for row in rows}) == len({row.folder for row in rows}) == 5
        assert OURS.label == "stylised: starry night" and Row("photographs").label == "photographs"

    def test_a_style_cannot_leave_the_folder(self):
        assert "/" not in Row("stylised", "../wave").folder


class TestFrameFolder:
    def test_pictures_come_back_in_8_bits(self, tmp_path: Path, random: torch.Generator):
        frames, rgb = FrameFolder(tmp_path), torch.rand(3, 20, 24, generator=random)
        assert not frames.has(OURS, 3)
        frames.write_picture(OURS, 3, rgb)
        assert frames.has(OURS, 3) and not frames.has(OURS, 2)
        torch.testing.assert_close(frames.picture(OURS, 3), rgb, atol=0.501 / 255, rtol=0)

    def test_geometry_comes_back_to_the_last_bit(self, tmp_path: Path, random: torch.Generator):
        frames, view = FrameFolder(tmp_path), some_view(random)
        frames.write_geometry(0, view, {"wave": {"floating": 0.25}})
        for name, value in vars(frames.view(0)).items():
            assert torch.equal(value, getattr(view, name))
        assert frames.numbers(0) == {"wave": {"floating": 0.25}} and frames.numbers(1) is None

    def test_counts_frames_that_are_finished_from_the_first_on(self, tmp_path: Path, random: torch.Generator):
        frames = FrameFolder(tmp_path)
        assert len(frames) == 0
        for frame in (0, 1, 3):
            frames.write_geometry(frame, some_view(random), {})
        assert len(frames) == 2

    def test_what_was_not_written_whole_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def stopped(path: Path, rgb: Tensor) -> None:
            path.write_bytes(b"half a picture")
            raise KeyboardInterrupt

        monkeypatch.setattr(frames_module, "write_rgb", stopped)
        frames = FrameFolder(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            frames.write_picture(OURS, 0, torch.zeros(3, 20, 24))
        assert not frames.has(OURS, 0) and not list(tmp_path.rglob("*writing*"))
