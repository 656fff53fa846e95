import math
from pathlib import Path

import pytest
import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

from ins3d.evaluation.consistency import (
    Judges,
    frame_pairs,
    measure_pair,
    min_ratio,
    pair_warps,
    summarise,
)
from ins3d.evaluation.flow_warp import FlowPair
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import GeometryView

HEIGHT, WIDTH, FOCAL, FRAMES = 60, 80, 60.0, 4
STEP = 0.1
"""The camera walks sideways before a wall at distance 2: 3 pixels a frame."""
NOISE = 0.05
PLAIN, STEADY, NOISY, BLURRED = (
    Row("unstylised"), Row("stylised", "steady"), Row("per-frame", "noisy"), Row("stylised", "blurred"),
)  # fmt: skip
NOBODY = Judges(None, None)


def wall(positions: Tensor) -> Tensor:
    waves = torch.sin(positions @ torch.tensor([[4.0, -2, 1], [1, 3, 0], [-2.5, 1, 2]]).T)
    return (waves / 4 + 0.5).movedim(-1, 0)


@pytest.fixture
def frames(tmp_path: Path, random: torch.Generator) -> FrameFolder:
    folder = FrameFolder(tmp_path)
    for frame in range(FRAMES):
        pose = torch.eye(3, 4)
        pose[0, 3] = STEP * frame
        intrinsics = torch.tensor([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2])
        view = GeometryView(pose, intrinsics, torch.zeros(6), torch.ones(1, HEIGHT, WIDTH), torch.ones(1, HEIGHT, WIDTH))
        distance = -2.0 / view.directions[None, ..., 2]
        view = GeometryView(pose, intrinsics, torch.zeros(6), distance, torch.ones_like(distance))
        picture = wall(view.positions)
        noise = NOISE * torch.randn(picture.shape, generator=random)
        shown = {PLAIN: picture, STEADY: 1 - picture, NOISY: picture + noise}
        shown[BLURRED] = gaussian_blur2d((picture + noise)[None], (13, 13), (3.0, 3.0))[0]
        for row, rgb in shown.items():
            folder.write_picture(row, frame, rgb)
        folder.write_geometry(frame, view, {})
    return folder


class ShiftFlow:
    """Knows the answer: every pixel moves by 3 a frame, and pictures are told apart by what they show."""

    source = "the answer"

    def __init__(self, frames: FrameFolder) -> None:
        self.pictures = [frames.picture(PLAIN, frame) for frame in range(FRAMES)]

    def __call__(self, first: Tensor, second: Tensor, iterations: int = 24) -> Tensor:
        numbers = [next(i for i, each in enumerate(self.pictures) if torch.equal(each, asked)) for asked in (first, second)]
        flow = torch.zeros(2, HEIGHT, WIDTH)
        flow[0] = -(numbers[1] - numbers[0]) * STEP * FOCAL / 2
        return flow


class TestFramePairs:
    def test_all_of_them_where_they_are_few(self):
        assert frame_pairs(5, 1, 10) == [(0, 1), (1, 2), (2, 3), (3, 4)]

    def test_no_more_than_asked_and_from_end_to_end(self):
        pairs = frame_pairs(20, 7, 4)
        assert len(pairs) == 4 and pairs[0] == (0, 7) and pairs[-1] == (12, 19)

    def test_none_where_the_path_is_too_short(self):
        assert frame_pairs(5, 5, 10) == []


class TestMeasurePair:
    def by_row(self, frames: FrameFolder, protocol, judges: Judges = NOBODY) -> dict[str, dict]:
        records = measure_pair(frames, [PLAIN, STEADY, NOISY, BLURRED], [protocol], 0, 1, judges)
        return {record["row"]: record for record in records}

    def test_what_moves_with_the_scene_has_no_error_and_noise_of_each_frame_is_returned(self, frames: FrameFolder):
        found = self.by_row(frames, "G")
        # 8 bits a picture: the difference of two roundings has a deviation of 1 / 255 / sqrt(6).
        assert found[PLAIN.label]["rmse"] < 0.003 and found[STEADY.label]["rmse"] < 0.003
        # Noises of two frames; the other frame is looked up at whole pixels here, which leaves its noise as it is.
        assert found[NOISY.label]["rmse"] == pytest.approx(NOISE * math.sqrt(2), rel=0.03)

    def test_blur_buys_a_low_error(self, frames: FrameFolder):
        found = self.by_row(frames, "G")
        assert found[BLURRED.label]["rmse"] < 0.3 * found[NOISY.label]["rmse"]

    def test_what_is_shared_is_counted(self, frames: FrameFolder):
        # 3 of 80 columns leave the picture.
        assert self.by_row(frames, "G")[PLAIN.label]["valid"] == pytest.approx(77 / 80, abs=0.5 / 80)

    @pytest.mark.parametrize("protocol", ["A", "B"])
    def test_flow_protocols_find_the_same_noise(self, frames: FrameFolder, protocol):
        found = self.by_row(frames, protocol, Judges(ShiftFlow(frames), None))
        assert found[STEADY.label]["rmse"] < 0.003
        assert found[NOISY.label]["rmse"] == pytest.approx(NOISE * math.sqrt(2), rel=0.03)

    def test_pairs_that_share_next_to_nothing_are_left_out(self, frames: FrameFolder):
        view = frames.view(1)
        away = GeometryView(view.camera_to_world + torch.tensor([[0.0, 0, 0, 50.0]]), *list(vars(view).values())[1:])
        frames.write_geometry(1, away, {})
        assert measure_pair(frames, [PLAIN], ["G"], 0, 1, NOBODY) == []

    def test_without_flow_there_is_geometry_alone(self, frames: FrameFolder):
        assert list(pair_warps(frames, ["A", "G", "B"], 0, 1, None)) == ["G"]

    def test_every_protocol_has_lpips_of_its_own_range(self, frames: FrameFolder):
        class Lpips:
            source, asked = "ranges", []

            def __call__(self, ours, theirs, valid, input_range) -> float:
                self.asked.append(input_range)
                return 0.5

        judges = Judges(ShiftFlow(frames), Lpips())
        records = measure_pair(frames, [PLAIN], ["G", "A", "B"], 0, 1, judges)
        assert [record["protocol"] for record in records] == ["G", "A", "B"]
        assert Lpips.asked == ["-1..1", "-1..1", "0..1"] and all(record["lpips"] == 0.5 for record in records)


class TestSummaries:
    RECORDS = [
        {"row": STEADY.label, "target": 0, "source": 1, "rmse": 0.1, "valid": 0.5},
        {"row": STEADY.label, "target": 1, "source": 2, "rmse": 0.3, "valid": 1.0},
        {"row": NOISY.label, "target": 0, "source": 1, "rmse": 0.5, "valid": 0.5},
        {"row": NOISY.label, "target": 1, "source": 2, "rmse": 0.6, "valid": 1.0},
    ]

    def test_are_means_over_pairs(self):
        found = summarise(self.RECORDS)
        assert found[STEADY.label] == {"rmse": pytest.approx(0.2), "valid": 0.75, "pairs": 2}
        assert found[NOISY.label]["rmse"] == pytest.approx(0.55)

    def test_the_least_ratio_is_that_of_one_pair(self):
        # .5 / .1 = 5 and .6 / .3 = 2.
        assert min_ratio(self.RECORDS, STEADY, NOISY) == pytest.approx(2)
        assert min_ratio(self.RECORDS, STEADY, Row("per-frame", "absent")) is None


def test_flow_pairs_go_from_the_target_to_the_source(frames: FrameFolder):
    flow = ShiftFlow(frames)
    pair = FlowPair(
        flow(frames.picture(PLAIN, 0), frames.picture(PLAIN, 1)), flow(frames.picture(PLAIN, 1), frames.picture(PLAIN, 0))
    )
    # The camera went right, so what the target shows at x is seen 3 pixels further left by the source.
    assert pair.forward[0].unique().tolist() == [-3.0] and pair.backward[0].unique().tolist() == [3.0]
    warped = pair_warps(frames, ["B"], 0, 1, flow)["B"](frames.picture(STEADY, 1))
    ours = frames.picture(STEADY, 0)
    torch.testing.assert_close(warped.picture[:, warped.valid], ours[:, warped.valid], atol=0.01, rtol=0)
