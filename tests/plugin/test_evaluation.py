import math
from typing import Any

import pytest
import torch

from ins3d.plugin.evaluation import depth_drift
from tests.plugin.tiny_scenes import HEIGHT, WIDTH, psnr


class TestDepthDrift:
    def test_relative_change_where_something_is_seen(self):
        depth = torch.tensor([2.0, 2.2, 3.0, 9.0])[:, None]
        content_depth = torch.tensor([2.0, 2.0, 4.0, 1.0])[:, None]
        accumulation = torch.tensor([1.0, 0.9, 0.6, 0.2])[:, None]
        # The last is hardly there. Drifts 0, 0.1, 0.25: the 95th percentile is 0.1 + 0.9 * 0.15 = 0.235.
        drift = depth_drift(depth, content_depth, accumulation)
        assert drift == {"depth_drift_median": pytest.approx(0.1), "depth_drift_p95": pytest.approx(0.235)}

    def test_the_same_depth_has_none(self):
        depth = torch.rand(4, 5, 1) + 1
        assert set(depth_drift(depth, depth, torch.ones(4, 5, 1)).values()) == {0.0}

    def test_an_empty_picture_has_none(self):
        depth = torch.ones(4, 5, 1)
        assert set(depth_drift(depth, 2 * depth, torch.zeros(4, 5, 1)).values()) == {0.0}

    def test_scale_does_not_matter(self):
        random = torch.Generator().manual_seed(0)
        depth, content_depth = torch.rand(2, 6, 7, 1, generator=random) + 1
        ones = torch.ones(6, 7, 1)
        assert depth_drift(10 * depth, 10 * content_depth, ones) == pytest.approx(depth_drift(depth, content_depth, ones))


class TestImageMetrics:
    @pytest.fixture
    def result(self, finished_run: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        pipeline = finished_run.pipeline
        pipeline.eval()
        camera, batch = pipeline.datamanager.next_eval_image(0)
        outputs = pipeline.model.get_outputs_for_camera(camera)
        metrics, images = pipeline.model.get_image_metrics_and_images(outputs, batch)
        return metrics, images, {**outputs, "photograph": batch["image"]}

    def test_every_number_is_there_and_plain(self, result):
        metrics = result[0]
        assert metrics.keys() == {
            "psnr", "ssim", "gram_distance", "content_gram_distance", "gram_ratio", "depth_drift_median", "depth_drift_p95",
            "colour_variance", "high_frequency", "edges",
        }  # fmt: skip
        assert {type(value) for value in metrics.values()} == {float}
        assert all(math.isfinite(value) for value in metrics.values())

    def test_psnr_compares_the_content_not_the_style_with_the_photograph(self, result):
        metrics, _, outputs = result
        assert metrics["psnr"] == pytest.approx(psnr(outputs["content_rgb"], outputs["photograph"]), abs=1e-3)

    def test_the_gram_ratio_is_the_styles_distance_by_the_contents(self, result):
        metrics = result[0]
        assert metrics["gram_ratio"] == pytest.approx(metrics["gram_distance"] / metrics["content_gram_distance"])
        assert metrics["gram_ratio"] < 1

    def test_locked_geometry_does_not_drift(self, result):
        assert result[0]["depth_drift_median"] == result[0]["depth_drift_p95"] == 0.0

    def test_pictures_show_photograph_content_and_style_side_by_side(self, result):
        _, images, outputs = result
        assert images["img"].shape == (HEIGHT, 3 * WIDTH, 3) and images["depth"].shape == (HEIGHT, WIDTH, 3)
        assert torch.equal(images["img"][:, :WIDTH], outputs["photograph"])
        assert torch.equal(images["img"][:, 2 * WIDTH :], outputs["rgb"])
        assert float(images["depth"].min()) == 0 and float(images["depth"].max()) == 1

    def test_before_the_style_stage_there_is_no_style_to_measure(self, trained_pipeline: Any):
        metrics, _ = trained_pipeline().get_eval_image_metrics_and_images(0)
        assert metrics.keys() == {"psnr", "ssim", "num_rays"}
