import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ins3d.plugin.ray_content import GridSettings
from ins3d.plugin.rays.generalisation import (
    CELLS,
    Generalisation,
    SeenPictures,
    blurred_mean,
    cell_of,
    generalisation,
    left_out,
)
from ins3d.plugin.rays.picture_store import PictureStore
from tests.plugin.tiny_scenes import make_open_scene, make_style_picture, make_tiny_vgg, picture_dataset, small_config, train

WHITE = torch.ones(3)


def store_of(pictures: list[np.ndarray]) -> PictureStore:
    return PictureStore(
        [picture.shape[:2] for picture in pictures], [(torch.from_numpy(picture), None) for picture in pictures],
        torch.device("cpu"),
    )  # fmt: skip


class TestFails:
    @pytest.mark.parametrize(
        ("learned", "held", "fails"),
        [
            (22.9, 22.3, False),  # fox as it is, after 200 steps
            (18.3, 9.7, True),  # with poses of other pictures
            (18.9, 12.9, True),  # with twice the focal length
            (13.6, 13.2, False),  # hardly begun
            (30.0, 18.0, False),  # few pictures
            (14.8, 14.2, False),  # slow, and the same of both
        ],
    )
    def test_what_is_guessed_while_the_rest_is_known(self, learned: float, held: float, fails: bool):
        assert Generalisation(learned, held, 13.3, 13.4).fails == fails

    def test_the_line_names_numbers_and_faults(self):
        said = Generalisation(18.3, 9.7, 13.3, 13.4).complaint
        assert "at 9.7 dB" in said and "13.4 dB" in said and "18.3 dB" in said
        assert all(fault in said for fault in ("Poses", "focal length", "cropped", "colours"))


class TestBlurredMean:
    def test_is_of_each_place_whatever_the_pictures_sizes(self):
        ramp = np.linspace(0, 255, 64).round().astype(np.uint8)
        wide, small = np.tile(ramp[None, :, None], (32, 1, 3)), np.tile(ramp[None, ::4, None], (8, 1, 3))
        mean = blurred_mean(store_of([wide, 255 - wide, small]), WHITE, torch.Generator().manual_seed(0))
        mean = mean.reshape(CELLS, CELLS, 3)
        # Two of three go up in proportion to their pixels; the ramp and its negative cancel.
        assert mean.std(0).max() < 0.05 and mean[:, 0].mean() < 0.5 < mean[:, -1].mean()

    def test_lays_what_is_transparent_over_the_background(self):
        clear = np.zeros((16, 16, 4), np.uint8)
        clear[..., :3], clear[:4, :, 3] = 51, 255
        mean = blurred_mean(store_of([clear]), WHITE, torch.Generator().manual_seed(0)).reshape(CELLS, CELLS, 3)
        assert [float(mean[:2].mean()), float(mean[2:].mean())] == pytest.approx([0.2, 1.0], abs=1e-5)

    def test_cells_are_shares_of_a_picture(self):
        store = store_of([np.zeros((16, 24, 3), np.uint8), np.zeros((80, 8, 3), np.uint8)])
        pixels = torch.tensor([[0, 0, 0], [0, 15, 23], [1, 79, 7], [1, 40, 0]])
        assert cell_of(store, pixels).tolist() == [0, 63, 63, 32]


def test_compares_what_is_rendered_with_the_pictures(tmp_path: Path):
    (tmp_path / "learned").mkdir()
    (tmp_path / "others").mkdir()
    learned = picture_dataset(tmp_path / "learned", [np.full((20, 30, 3), 51, np.uint8)] * 2)
    others = picture_dataset(tmp_path / "others", [np.full((20, 30, 3), 102, np.uint8)] * 2)
    pictures = [SeenPictures.of(dataset, torch.device("cpu")) for dataset in (learned, others)]
    found = generalisation(*pictures, lambda rays: torch.full((len(rays), 3), 0.3), WHITE)
    assert (found.learned, found.held) == pytest.approx((20, 20), abs=1e-4)
    assert found.held_blurred == pytest.approx(-20 * np.log10(0.2), abs=1e-4) and found.learned_blurred > 100


def test_every_eighth_of_few_pictures_is_left_out_and_no_other():
    store = store_of([np.full((4, 6, 3), number, np.uint8) for number in range(12)])
    left = left_out(len(store))
    first, others = store.without(left), store.without(set(range(12)) - set(left))
    drawn = [set(each.draw_pixels(2000, torch.Generator().manual_seed(0))[:, 0].tolist()) for each in (first, others, store)]
    assert drawn == [set(range(12)) - {4}, {4}, set(range(12))] and store.mask is None


class TestScenes:
    """What `ns-train` says."""

    CONTENT = GridSettings((16, 40, 128), 8, 14, num_proposal_samples=(16,), num_samples=8)
    """Large enough to learn pictures by heart."""

    def said(self, folder: Path, capsys: Any, wrong: bool, number: int = 12, content_steps: int = 200) -> str:
        scene = make_open_scene(folder / "scene", number)
        file = folder / "scene/transforms.json"
        contents = json.loads(file.read_text())
        poses = [frame["transform_matrix"] for frame in contents["frames"]]
        order = np.random.default_rng(3).permutation(number) if wrong else np.arange(number)
        for frame, other in zip(contents["frames"], order.tolist(), strict=True):
            frame["transform_matrix"] = poses[other]
        file.write_text(json.dumps(contents))
        make_style_picture(folder / "style.png")
        make_tiny_vgg(folder / "tiny_vgg.pth")
        edits = {"model__content": self.CONTENT, "datamanager__train_num_rays_per_batch": 256}
        train(small_config(scene, folder, content_steps=content_steps, style_steps=1, **edits))
        return capsys.readouterr().out

    @pytest.mark.parametrize("wrong", [False, True])
    def test_poses_of_other_pictures_are_noticed(self, tmp_path: Path, capsys: Any, wrong: bool):
        assert ("The scene seems to be read wrongly" in self.said(tmp_path, capsys, wrong)) == wrong

    @pytest.mark.parametrize("wrong", [False, True])
    def test_where_nothing_is_held_out_too(self, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, wrong: bool):
        monkeypatch.setattr("ins3d.plugin.pipeline.WORTH_IT", 1)
        said = self.said(tmp_path, capsys, wrong, 8, 201)
        assert "No picture is held out" in said and ("The scene seems to be read wrongly" in said) == wrong
