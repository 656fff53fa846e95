from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import warp_by_geometry
from ins3d.evaluation.picture_warp import rms_error
from ins3d.fields.frozen_teacher import FrozenTeacher
from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.finished.frames import (
    evaluation_path,
    geometry_numbers,
    geometry_view,
    render_frames,
    tour,
)


def along(number: int) -> torch.Tensor:
    """Cameras that stand on a line and look the same way."""
    poses = torch.eye(3, 4).repeat(number, 1, 1)
    poses[:, 0, 3] = torch.arange(number).float()
    return poses


class TestTour:
    def test_goes_to_the_nearest_that_is_left(self):
        assert tour(along(5)[[0, 3, 1, 4, 2]]) == [0, 2, 4, 1, 3]

    def test_cameras_at_one_place_are_apart_when_they_look_another_way(self):
        poses = along(4)
        poses[1, :, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))  # turned around
        assert tour(poses) == [0, 2, 3, 1]


class TestEvaluationPath:
    def test_held_out_views_are_those_of_the_host(self, finished_run: Any):
        pipeline = finished_run.pipeline
        path = evaluation_path("held-out", pipeline, 100)
        dataset = pipeline.datamanager.eval_dataset
        assert [index for _, index in path.photographs] == list(range(len(dataset)))
        torch.testing.assert_close(path.cameras.camera_to_worlds, dataset.cameras.camera_to_worlds)

    def test_views_are_photographs_and_each_keeps_its_camera(self, finished_run: Any):
        path = evaluation_path("views", finished_run.pipeline, 6)
        assert len(path) == len(path.photographs) == 6
        for frame, (dataset, index) in enumerate(path.photographs):
            assert torch.equal(path.cameras.camera_to_worlds[frame], dataset.cameras.camera_to_worlds[index])

    def test_a_smooth_path_has_no_photographs_and_small_steps(self, finished_run: Any):
        path = evaluation_path("smooth", finished_run.pipeline, 12)
        places = path.cameras.camera_to_worlds[:, :, 3]
        steps = (places[1:] - places[:-1]).norm(dim=-1)
        assert len(path) == 12 and not path.photographs
        assert float(steps.max()) < 2 * float(steps.median())


class TestGeometryView:
    def test_warps_one_render_onto_another(self, finished_run: Any):
        pipeline = finished_run.pipeline
        path = evaluation_path("smooth", pipeline, 24)
        renders = [
            render_codes(pipeline.model.eval(), path.cameras[frame : frame + 1], torch.ones(1, 1)) for frame in (0, 1)
        ]
        views = [geometry_view(path.cameras[frame : frame + 1], each) for frame, each in enumerate(renders)]
        warped = warp_by_geometry(renders[1].content_rgb, views[1], views[0])
        assert float(warped.valid.float().mean()) > 0.7
        assert rms_error(warped.picture, renders[0].content_rgb, warped.valid) < 0.06
        # The same numbers with the cameras mixed up are no match.
        wrong = warp_by_geometry(
            renders[1].content_rgb, replace(views[1], camera_to_world=views[0].camera_to_world), views[0]
        )
        assert rms_error(wrong.picture, renders[0].content_rgb, wrong.valid) > rms_error(
            warped.picture, renders[0].content_rgb, warped.valid
        )


class TestRenderFrames:
    @pytest.fixture
    def frames(self, finished_run: Any, tmp_path: Path) -> FrameFolder:
        path = evaluation_path("views", finished_run.pipeline, 2)
        frames = FrameFolder(tmp_path)
        render_frames(finished_run.pipeline, path, frames)
        return frames

    def test_writes_every_row_as_it_was_rendered(self, finished_run: Any, frames: FrameFolder):
        model = finished_run.pipeline.model
        dataset, index = evaluation_path("views", finished_run.pipeline, 2).photographs[1]
        renders = render_codes(model, dataset.cameras[index : index + 1], torch.ones(1, 1))
        shown = {Row("unstylised"): renders.content_rgb, Row("stylised", model.controls.names[0]): renders.rgb[0]}
        shown[Row("photographs")] = dataset.get_data(index)["image"].permute(2, 0, 1)
        assert len(frames) == 2
        for row, expected in shown.items():
            torch.testing.assert_close(frames.picture(row, 1), expected, atol=0.51 / 255, rtol=0)
        torch.testing.assert_close(frames.view(1).distance, renders.content_depth)

    def test_locked_geometry_has_not_moved_by_a_bit(self, finished_run: Any, frames: FrameFolder):
        numbers = frames.numbers(0)
        assert numbers is not None
        assert numbers[finished_run.pipeline.model.controls.names[0]] == {
            "depth_drift_median": 0.0, "depth_drift_p95": 0.0, "opacity_change": 0.0, "floating": 0.0,
        }  # fmt: skip

    def test_goes_on_where_it_was_stopped(self, finished_run: Any, frames: FrameFolder):
        path = evaluation_path("views", finished_run.pipeline, 2)
        row = Row("unstylised")
        (frames.folder / "geometry" / "001.json").unlink()  # as if it had been stopped in the second frame
        frames.picture_path(row, 0).write_bytes(b"kept")
        frames.picture_path(row, 1).write_bytes(b"half")
        render_frames(finished_run.pipeline, path, frames)
        assert frames.picture_path(row, 0).read_bytes() == b"kept"
        assert frames.picture_path(row, 1).read_bytes() != b"half"


class TestGeometryNumbers:
    def test_a_surface_that_has_moved_and_matter_before_it(self, finished_run: Any):
        camera = finished_run.pipeline.datamanager.eval_dataset.cameras[:1]
        renders = render_codes(finished_run.pipeline.model, camera, torch.ones(1, 1))
        floating = torch.full_like(renders.accumulation, 0.1)
        opacity = [renders.accumulation - 0.25]
        renders = replace(renders, depth=[1.1 * renders.content_depth], opacity=opacity, floating=[floating])
        numbers = geometry_numbers(renders, ["a"], True, None)["a"]
        assert numbers["depth_drift_median"] == pytest.approx(0.1, rel=1e-4)
        assert numbers["depth_drift_p95"] == pytest.approx(0.1, rel=1e-4)
        assert numbers["opacity_change"] == pytest.approx(0.25, rel=1e-4) and numbers["floating"] == pytest.approx(0.1)
        assert numbers["silhouette_iou"] == 1.0

    def test_the_frozen_field_is_the_judge_of_content_that_has_moved(self, finished_run: Any):
        model = finished_run.pipeline.model
        camera = finished_run.pipeline.datamanager.eval_dataset.cameras[:1]
        frozen = model.ray_content.frozen_density()
        moved = FrozenTeacher(model.ray_content.content).field
        last = moved.tables()[0]
        last.data += 0.3 * torch.randn_like(last)
        kept, model.ray_content.content = model.ray_content.content, moved
        try:
            told = render_codes(model, camera, torch.zeros(1, 1), frozen)
            alone = render_codes(model, camera, torch.zeros(1, 1))
        finally:
            model.ray_content.content = kept
        assert torch.equal(alone.depth[0], alone.content_depth)  # by its own measure nothing has moved
        assert not torch.allclose(told.depth[0], told.content_depth, rtol=0.01)
