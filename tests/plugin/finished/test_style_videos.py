from typing import Any

import torch

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.finished.style_videos import style_frames
from ins3d.style.mix import Mix


class TestStyleFrames:
    def test_the_sweep_begins_and_the_middle_is_full_style(self, finished_run: Any):
        pipeline = finished_run.pipeline
        model = pipeline.model.eval()
        cameras = pipeline.datamanager.eval_dataset.cameras[torch.zeros(4, dtype=torch.long)]
        frames = list(style_frames(model, cameras, Mix((1.0,))))
        renders = render_codes(model, cameras[:1], torch.ones(1, 1))
        above = slice(0, renders.content_rgb.shape[1] // 2)  # words stand below
        close = dict(atol=0.51 / 255 + 1e-6, rtol=0.0)  # pictures with words went through 8 bits
        torch.testing.assert_close(frames[0].strength[:, above], renders.content_rgb[:, above], **close)
        torch.testing.assert_close(frames[2].strength[:, above], renders.rgb[0][:, above], **close)
        torch.testing.assert_close(frames[1].morph[:, above], renders.rgb[0][:, above], **close)
        both = torch.cat([renders.content_rgb, renders.rgb[0]], dim=2)
        torch.testing.assert_close(frames[3].grid[:, above], both[:, above], **close)
