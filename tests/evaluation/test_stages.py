import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.evaluation.stages import paint_frames, staged
from ins3d.transfer.network import TransferNetwork


class Counter:
    """Returns how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, int]:
        self.times += 1
        return {"times": self.times}


class TestStaged:
    def test_a_finished_stage_is_not_made_again(self, tmp_path: Path):
        compute = Counter()
        for _ in range(3):
            assert staged(tmp_path / "a.json", {"frames": 5}, compute) == {"times": 1}

    def test_another_key_makes_it_anew(self, tmp_path: Path):
        compute = Counter()
        staged(tmp_path / "a.json", {"frames": 5, "judge": "vgg"}, compute)
        assert staged(tmp_path / "a.json", {"frames": 5, "judge": "compact"}, compute) == {"times": 2}
        assert json.loads((tmp_path / "a.json").read_text())["key"]["judge"] == "compact"

    def test_tuples_in_a_key_are_the_lists_that_json_makes_of_them(self, tmp_path: Path):
        compute = Counter()
        for _ in range(2):
            staged(tmp_path / "a.json", {"gaps": (1, 7)}, compute)
        assert compute.times == 1

    def test_one_that_failed_is_not_kept(self, tmp_path: Path):
        def fail():
            raise RuntimeError

        with pytest.raises(RuntimeError):
            staged(tmp_path / "a.json", {}, fail)
        assert not (tmp_path / "a.json").exists()


class Darkener(TransferNetwork):
    """A style is a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.painted = 0

    def look_at(self, style: Tensor):
        return style.mean()

    def stylized(self, contents: Tensor, shares) -> Tensor:
        self.painted += 1
        return contents * shares[0][0]


def test_frames_are_painted_with_every_style_and_those_that_are_there_are_kept(tmp_path: Path):
    frames = FrameFolder(tmp_path)
    view = GeometryView(torch.eye(3, 4), torch.ones(4), torch.zeros(6), torch.ones(1, 16, 16), torch.ones(1, 16, 16))
    for frame in range(3):
        frames.write_picture(Row("unstylised"), frame, torch.full((3, 16, 16), 0.8))
        frames.write_geometry(frame, view, {})
    styles = {"dim": torch.full((3, 4, 4), 0.5), "bright": torch.ones(3, 4, 4)}
    frames.write_picture(Row("per-frame", "dim", "dark"), 1, torch.zeros(3, 16, 16))
    stylizer = Darkener()
    paint_frames(frames, {"dark": stylizer}, styles, "painting")
    assert stylizer.painted == 5
    assert float(frames.picture(Row("per-frame", "dim", "dark"), 2).mean()) == pytest.approx(0.4, abs=0.003)
    assert float(frames.picture(Row("per-frame", "bright", "dark"), 2).mean()) == pytest.approx(0.8, abs=0.003)
    assert float(frames.picture(Row("per-frame", "dim", "dark"), 1).mean()) == 0
