from typing import Any

import torch

from ins3d.plugin.code_renders import render_codes


class TestRenderCodes:
    def test_every_picture_is_the_one_that_ns_render_makes(self, finished_run: Any):
        model = finished_run.pipeline.model.eval()
        camera = finished_run.pipeline.datamanager.eval_dataset.cameras[:1]
        renders = render_codes(model, camera, torch.tensor([[1.0], [0.0]]))
        outputs = model.get_outputs_for_camera(camera)
        torch.testing.assert_close(renders.rgb[0], outputs["rgb"].permute(2, 0, 1))
        torch.testing.assert_close(renders.content_rgb, outputs["content_rgb"].permute(2, 0, 1).clamp(0, 1))
        torch.testing.assert_close(renders.depth[0], outputs["depth"].permute(2, 0, 1))
        torch.testing.assert_close(renders.accumulation, outputs["accumulation"].permute(2, 0, 1))

    def test_the_zero_code_is_the_content_bit_for_bit_and_locked_depth_knows_no_code(self, finished_run: Any):
        model = finished_run.pipeline.model.eval()
        camera = finished_run.pipeline.datamanager.eval_dataset.cameras[:1]
        renders = render_codes(model, camera, torch.tensor([[1.0], [0.0], [0.3]]))
        assert torch.equal(renders.rgb[1], renders.content_rgb)
        assert all(torch.equal(depth, renders.content_depth) for depth in renders.depth)

    def test_small_chunks_make_the_same_picture(self, finished_run: Any):
        model = finished_run.pipeline.model.eval()
        camera = finished_run.pipeline.datamanager.eval_dataset.cameras[:1]
        whole = render_codes(model, camera, torch.ones(1, 1)).rgb[0]
        chunk, model.config.eval_num_rays_per_chunk = model.config.eval_num_rays_per_chunk, 100
        try:
            torch.testing.assert_close(render_codes(model, camera, torch.ones(1, 1)).rgb[0], whole)
        finally:
            model.config.eval_num_rays_per_chunk = chunk
