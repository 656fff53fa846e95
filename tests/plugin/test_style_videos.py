from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import torch

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.style_videos import VideoFiles, labelled_picture, style_frames
from ins3d.style_mix import StyleMix


class TestStyleFrames:
    def test_the_sweep_begins_and_the_middle_is_full_style(self, finished_run: Any):
        pipeline = finished_run.pipeline
        model = pipeline.model.eval()
        cameras = pipeline.datamanager.eval_dataset.cameras[torch.zeros(4, dtype=torch.long)]
        frames = list(style_frames(model, cameras, StyleMix((1.0,))))
        renders = render_codes(model, cameras[:1], torch.ones(1, 1))
        above = slice(0, renders.content_rgb.shape[1] // 2)  # words stand below
        close = dict(atol=0.51 / 255 + 1e-6, rtol=0.0)  # pictures with words went through 8 bits
        torch.testing.assert_close(frames[0].strength[:, above], renders.content_rgb[:, above], **close)
        torch.testing.assert_close(frames[2].strength[:, above], renders.rgb[0][:, above], **close)
        torch.testing.assert_close(frames[1].morph[:, above], renders.rgb[0][:, above], **close)
        both = torch.cat([renders.content_rgb, renders.rgb[0]], dim=2)
        torch.testing.assert_close(frames[3].grid[:, above], both[:, above], **close)


class TestVideoFiles:
    def test_odd_pictures_become_videos_with_every_frame(self, tmp_path: Path):
        paths = [tmp_path / "new" / name for name in ("a.mp4", "b.mp4")]
        with VideoFiles(paths, fps=5) as files:
            for value in (0.1, 0.5, 0.9):
                files.add([torch.full((3, 33, 41), value), torch.full((3, 64, 48), 1 - value)])
        for path, brightness in zip(paths, ([0.1, 0.5, 0.9], [0.9, 0.5, 0.1]), strict=True):
            frames = imageio.mimread(path, memtest=False)
            assert len(frames) == 3
            assert all(abs(frame.mean() / 255 - value) < 0.03 for frame, value in zip(frames, brightness, strict=True))


def test_words_change_a_corner_and_nothing_else():
    picture = torch.full((3, 100, 160), 0.5)
    changed = (labelled_picture(picture, "mosaic") - picture).abs().amax(0) > 0.01
    rows, columns = changed.nonzero().unbind(-1)
    assert len(rows) > 0 and int(rows.min()) > 70 and int(columns.max()) < 100
