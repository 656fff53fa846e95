from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import pytest
import torch

from ins3d.plugin.previews import labelled_picture, preview
from ins3d.plugin.rays.picture_store import over_background
from tests.plugin.tiny_scenes import HEIGHT, WIDTH, Scene, small_config, train

ABOVE_THE_WORDS = slice(0, HEIGHT // 2)


def tiles_of(picture: torch.Tensor) -> list[torch.Tensor]:
    """Row by row, the parts above the words."""
    tiles = picture.unfold(1, HEIGHT, HEIGHT).unfold(2, WIDTH, WIDTH)
    return list(tiles[..., ABOVE_THE_WORDS, :].flatten(1, 2).unbind(1))


class TestPreview:
    @pytest.fixture(scope="class")
    def tiles(self, finished_run: Any) -> list[torch.Tensor]:
        finished_run.pipeline.eval()
        return tiles_of(preview(finished_run.pipeline))

    def test_begins_with_the_photograph(self, finished_run: Any, tiles: list[torch.Tensor]):
        dataset = finished_run.pipeline.datamanager.eval_dataset
        photograph = over_background(dataset.get_data(len(dataset) // 2)["image"], torch.zeros(3)).permute(2, 0, 1)
        torch.testing.assert_close(tiles[0], photograph[:, ABOVE_THE_WORDS], atol=1 / 255, rtol=0)

    def test_shows_the_whole_painting_as_it_is(self, finished_run: Any, tiles: list[torch.Tensor]):
        """It is wider than the views: there is white above it."""
        painting = imageio.imread(finished_run.pipeline.config.model.styles[0]) / 255
        above = (HEIGHT - painting.shape[0] * WIDTH // painting.shape[1]) // 2
        assert above > 1 and float(tiles[1][:, : above - 1].min()) == 1
        inside = tiles[1][:, above + 1 :].mean((1, 2))
        assert inside.tolist() == pytest.approx(painting[: len(painting) // 2].mean((0, 1)), abs=0.05)

    def test_shows_the_view_painted_and_its_depth(self, finished_run: Any, tiles: list[torch.Tensor]):
        model, dataset = finished_run.pipeline.model, finished_run.pipeline.datamanager.eval_dataset
        middle = len(dataset) // 2
        outputs = model.get_outputs_for_camera(dataset.cameras[middle : middle + 1])
        torch.testing.assert_close(tiles[2], outputs["rgb"].permute(2, 0, 1)[:, ABOVE_THE_WORDS], atol=1 / 255, rtol=0)
        near, far = outputs["depth"][ABOVE_THE_WORDS].flatten().sort().indices[[0, -1]]
        assert float(tiles[3].flatten(1)[:, near].mean()) > float(tiles[3].flatten(1)[:, far].mean()) + 0.3

    def test_without_a_style_stage_it_shows_the_content(self, open_scene: Scene, tmp_path: Path):
        trainer = train(small_config(open_scene, tmp_path, content_steps=3, style_steps=0))
        assert imageio.imread(trainer.base_dir / "preview.png").shape == (HEIGHT, 3 * WIDTH, 3)


def test_words_change_a_corner_and_nothing_else():
    picture = torch.full((3, 100, 160), 0.5)
    changed = (labelled_picture(picture, "mosaic") - picture).abs().amax(0) > 0.01
    rows, columns = changed.nonzero().unbind(-1)
    assert len(rows) > 0 and int(rows.min()) > 70 and int(columns.max()) < 100
