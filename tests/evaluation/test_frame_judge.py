"""`judge_frames`: composition at a short side of 256, and what a user looks at."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

from ins3d import judge_frames
from ins3d.evaluation.frame_judge import JUDGED_SIDE, FrameJudge, load_judge, own_side
from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb
from ins3d.style.styles import DEFAULT_STYLE

SIDE = 640


@pytest.fixture(autouse=True)
def compact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def strokes() -> Tensor:
    """A square painting of broad strokes, 80 pixels apart, with fine ones in them, 2.5 pixels apart."""
    rows, columns = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    bent = rows + 12 * torch.sin(columns / 40)
    fine, broad = (torch.sin(2 * torch.pi * bent / apart) for apart in (2.5, 80))
    return (0.5 + 0.2 * fine + 0.2 * broad).expand(3, -1, -1).contiguous()


@pytest.fixture
def painting(strokes: Tensor, tmp_path: Path) -> str:
    write_rgb(tmp_path / "painting.png", strokes)
    return str(tmp_path / "painting.png")


class TestJudgeFrames:
    def test_the_painting_itself_is_not_far_from_itself(self, painting: str):
        found = judge_frames([resize_long_side(read_rgb(Path(painting), "style"), JUDGED_SIDE)], painting)
        assert found == {name: pytest.approx(0, abs=1e-3) for name in ("gram", "remd", "coherence", "spectrum")}

    def test_the_content_itself_has_a_share_of_one_of_its_own_distance(self, painting: str, random: torch.Generator):
        content = torch.rand(3, 96, 128, generator=random)
        found = judge_frames([content], painting, [content])
        assert found["gram"] == pytest.approx(1) and found["ssim"] == pytest.approx(1)

    def test_what_blur_takes_at_full_size_is_not_seen_at_256_pixels(self, strokes: Tensor, painting: str):
        # Reduced to 256 pixels the fine strokes are 1 pixel apart: antialiasing takes them as the blur does.
        blurred = gaussian_blur2d(strokes[None], (9, 9), (1.5, 1.5))[0]
        small, own = (
            [judge_frames([each], painting, short_side=side) for each in (strokes, blurred)] for side in (JUDGED_SIDE, None)
        )
        for name in ("gram", "remd", "spectrum"):
            lost = [seen[1][name] - seen[0][name] for seen in (small, own)]
            assert abs(lost[0]) < 0.25 * lost[1], name

    def test_other_numbers_of_frames_are_refused(self):
        frame = torch.zeros(3, 32, 32)
        for frames, content in (([], []), ([frame], [frame, frame])):
            with pytest.raises(ValueError, match="give as many of both"):
                judge_frames(frames, DEFAULT_STYLE, content)


class TestFrameJudge:
    def test_its_own_size_is_no_larger_than_the_painting_is_known(self):
        assert own_side(torch.zeros(3, 2000, 3000), torch.zeros(3, 2000, 3000)) == 1080
        assert own_side(torch.zeros(3, 2000, 3000), torch.zeros(3, 300, 400)) == 400

    def test_long_frames_are_reduced_to_a_number_of_pixels(self, strokes: Tensor):
        judge = FrameJudge(load_judge(), strokes, 64)
        sizes = [tuple(judge._reduced(torch.zeros(3, *size)).shape[1:]) for size in ((128, 192), (64, 512), (60, 60))]
        assert sizes == [(64, 96), (32, 256), (60, 60)]

    def test_maps_are_computed_once_and_say_the_same(self, strokes: Tensor, random: torch.Generator):
        judge, frame = FrameJudge(load_judge(), strokes, 96), torch.rand(3, 96, 96, generator=random)
        again = judge.strokes.measure(F.interpolate(frame[None], size=(96, 96))[0])
        assert {name: judge.measure(frame)[name] for name in again} == pytest.approx(again)
