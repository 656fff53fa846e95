import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.data.dataparsers.nerfstudio_dataparser import Nerfstudio
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image

from ins3d.plugin.datamanager import _check_memory
from tests.plugin.tiny_scenes import HEIGHT, WIDTH, Scene, small_config


def data_manager(scene: Scene, tmp_path: Path, **edits: Any) -> Any:
    config = small_config(scene, tmp_path, **edits).pipeline.datamanager
    return config.setup(device="cpu", test_mode="val", world_size=1, local_rank=0)


@pytest.fixture
def own_scene(open_scene: Scene, tmp_path: Path) -> Scene:
    """A copy of the open scene to break."""
    folder = tmp_path / "scene" / "own"
    shutil.copytree(open_scene.folder, folder)
    return Scene(folder, "open", open_scene.nearest, open_scene.farthest, open_scene.center, open_scene.radius)


def message(text: str) -> str:
    return f"^{re.escape(text)}$"


class TestNextTrain:
    def test_rays_leave_the_camera_that_took_the_pixel(self, open_scene: Scene, tmp_path: Path):
        data = data_manager(open_scene, tmp_path)
        rays, batch = data.next_train(0)
        assert len(rays) == data.get_train_rays_per_batch() == 128
        assert batch["image"].shape == (128, 3) and batch["indices"].shape == (128, 3)
        assert torch.equal(batch["image"], data.store.colors(batch["indices"]))
        centers = data.train_dataset.cameras.camera_to_worlds[batch["indices"][:, 0], :, 3]
        assert torch.allclose(rays.origins, centers)
        assert torch.allclose(rays.directions.norm(dim=-1), torch.ones(128), atol=1e-5)

    def test_all_but_a_tenth_of_the_pictures_are_trained_on(self, open_scene: Scene, tmp_path: Path):
        data = data_manager(open_scene, tmp_path)
        assert (len(data.train_dataset), len(data.eval_dataset), len(data.store)) == (11, 1, 11)
        assert data.store.sizes.tolist() == [[HEIGHT, WIDTH]] * 11

    def test_the_seed_decides_which_pixels(self, open_scene: Scene, tmp_path: Path):
        draws = [
            data_manager(open_scene, tmp_path, datamanager__seed=seed).next_train(0)[1]["indices"] for seed in (1, 1, 2)
        ]
        assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])

    def test_alpha_is_kept_for_training_and_composited_for_evaluation(self, object_scene: Scene, tmp_path: Path):
        data = data_manager(object_scene, tmp_path)
        _, batch = data.next_train(0)
        assert data.store.has_alpha and batch["image"].shape == (128, 4)
        assert torch.equal(data.background, torch.ones(3))
        assert data.eval_dataset.get_data(0)["image"].shape == (40, 40, 3)
        assert data.train_dataset.get_data(0)["image"].shape == (40, 40, 4)

    def test_the_background_is_the_one_the_dataparser_names(self, object_scene: Scene, tmp_path: Path):
        config = small_config(object_scene, tmp_path).pipeline.datamanager
        config.dataparser.alpha_color = "black"
        data = config.setup(device="cpu", test_mode="val", world_size=1, local_rank=0)
        assert torch.equal(data.background, torch.zeros(3))


class TestWorkingSize:
    def test_pictures_and_cameras_are_reduced_to_the_size_asked_for(self, open_scene: Scene, tmp_path: Path):
        with CONSOLE.capture() as said:
            data = data_manager(open_scene, tmp_path, datamanager__size=max(HEIGHT, WIDTH) // 2)
        assert data.store.sizes.tolist() == [[HEIGHT // 2, WIDTH // 2]] * 11
        assert data.eval_dataset.cameras.height.tolist() == [[HEIGHT // 2]]
        assert data.eval_dataset.get_data(0)["image"].shape[:2] == (HEIGHT // 2, WIDTH // 2)
        assert f"11 pictures of {WIDTH}x{HEIGHT}, worked on at {WIDTH // 2}x{HEIGHT // 2}" in said.get()

    @pytest.mark.parametrize("size", [0, 10_000])
    def test_they_stay_as_they_are(self, open_scene: Scene, tmp_path: Path, size: int):
        data = data_manager(open_scene, tmp_path, datamanager__size=size)
        assert data.store.sizes.tolist() == [[HEIGHT, WIDTH]] * 11

    def test_without_a_word_the_setting_becomes_what_was_chosen(self, open_scene: Scene, tmp_path: Path):
        data = data_manager(open_scene, tmp_path, datamanager__pixels=HEIGHT * WIDTH // 4)
        assert data.config.size == max(HEIGHT, WIDTH) // 2 and data.store.sizes.tolist() == [[HEIGHT // 2, WIDTH // 2]] * 11

    def test_a_downscale_factor_decides(self, open_scene: Scene, tmp_path: Path):
        config = small_config(open_scene, tmp_path, datamanager__pixels=HEIGHT * WIDTH // 4).pipeline.datamanager
        config.dataparser.downscale_factor = 1
        data = config.setup(device="cpu", test_mode="val", world_size=1, local_rank=0)
        assert data.config.size == 0 and data.store.sizes.tolist() == [[HEIGHT, WIDTH]] * 11

    def test_the_hosts_factor_is_a_size(self, open_scene: Scene, tmp_path: Path):
        data = data_manager(open_scene, tmp_path, datamanager__camera_res_scale_factor=0.5)
        assert data.store.sizes.tolist() == [[HEIGHT // 2, WIDTH // 2]] * 11


class TestNerfstudioFolder:
    def test_a_folder_without_transforms_is_refused(self, own_scene: Scene, tmp_path: Path):
        file = own_scene.folder / "transforms.json"
        file.unlink()
        text = (
            f"data: {file} does not exist; give a folder that ns-process-data made, or name the kind of data after all "
            "other options (blender-data, ...)."
        )
        with pytest.raises(FileNotFoundError, match=message(text)):
            data_manager(own_scene, tmp_path)

    @pytest.mark.parametrize("content", ["{ half a fi", "{}", "[]", '{"frames": 3}', '"frames"'])
    def test_a_file_that_is_no_transforms_file_is_refused(self, own_scene: Scene, tmp_path: Path, content: str):
        file = own_scene.folder / "transforms.json"
        file.write_text(content)
        with pytest.raises(ValueError, match=rf"^data: {re.escape(str(file))} is not a nerfstudio transforms file \(.+\); "
                           r"run ns-process-data again\.$"):  # fmt: skip
            data_manager(own_scene, tmp_path)

    def test_too_few_pictures_are_refused(self, own_scene: Scene, tmp_path: Path):
        file = own_scene.folder / "transforms.json"
        meta = json.loads(file.read_text())
        file.write_text(json.dumps({**meta, "frames": meta["frames"][:2]}))
        with pytest.raises(ValueError, match=message(f"data: {file} lists 2 pictures; at least 3 are needed.")):
            data_manager(own_scene, tmp_path)

    def test_the_json_file_itself_may_be_given(self, own_scene: Scene, tmp_path: Path):
        config = small_config(own_scene, tmp_path).pipeline.datamanager
        config.data = own_scene.folder / "transforms.json"
        assert len(config.setup(device="cpu", test_mode="val", world_size=1, local_rank=0).train_dataset) == 11


class TestMissingPictures:
    def test_missing_pictures_are_skipped_and_counted(self, own_scene: Scene, tmp_path: Path):
        whole = data_manager(own_scene, tmp_path)
        gone = [whole.train_dataset.image_filenames[index] for index in (3, 7)]
        for file in gone:
            file.unlink()
        with CONSOLE.capture() as said:
            data = data_manager(own_scene, tmp_path)
        assert "Skipped 2 training pictures whose files are missing (the first is" in " ".join(said.get().split())
        assert len(data.train_dataset) == len(data.store) == 9
        left = [index for index in range(11) if index not in (3, 7)]
        # Pictures and cameras still belong together.
        assert data.train_dataset.image_filenames == [whole.train_dataset.image_filenames[index] for index in left]
        expected = whole.train_dataset.cameras.camera_to_worlds[left]
        assert torch.equal(data.train_dataset.cameras.camera_to_worlds, expected)
        for new, old in enumerate(left):
            pixel = torch.tensor([[new, 20, 30]])
            assert torch.equal(data.store.colors(pixel), whole.store.colors(torch.tensor([[old, 20, 30]])))

    def test_the_first_picture_may_be_missing(self, own_scene: Scene, tmp_path: Path):
        (own_scene.folder / "images" / "frame_00000.png").unlink()
        assert len(data_manager(own_scene, tmp_path).train_dataset) == 10

    def test_fewer_than_three_pictures_left_are_refused(self, own_scene: Scene, tmp_path: Path):
        files = data_manager(own_scene, tmp_path).train_dataset.image_filenames
        # The host looks at the first picture's size.
        gone = files[1:10]
        for file in gone:
            file.unlink()
        text = (
            f"data: 9 of 11 training pictures are missing (the first is {gone[0]}), 2 are left; at least 3 are needed: "
            "restore them or process the scene again."
        )
        with pytest.raises(ValueError, match=message(text)):
            data_manager(own_scene, tmp_path)

    def test_held_out_pictures_must_not_all_be_missing(self, own_scene: Scene, tmp_path: Path):
        (file,) = data_manager(own_scene, tmp_path).eval_dataset.image_filenames
        file.unlink()
        text = (
            f"data: 1 of 1 held-out pictures are missing (the first is {file}), 0 are left; at least 1 are needed: "
            "restore them or process the scene again."
        )
        with pytest.raises(ValueError, match=message(text)):
            data_manager(own_scene, tmp_path)

    def test_masks_follow_their_pictures(self, own_scene: Scene, tmp_path: Path):
        import imageio.v3 as imageio

        file = own_scene.folder / "transforms.json"
        meta = json.loads(file.read_text())
        (own_scene.folder / "masks").mkdir()
        for index, frame in enumerate(meta["frames"]):
            mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            mask[index] = 255
            frame["mask_path"] = f"masks/frame_{index:05d}.png"
            imageio.imwrite(own_scene.folder / frame["mask_path"], mask)
        file.write_text(json.dumps(meta))
        (own_scene.folder / "images" / "frame_00004.png").unlink()
        data = data_manager(own_scene, tmp_path)
        drawn = data.store.draw_pixels(500, torch.Generator().manual_seed(0))
        numbers = [int(path.stem.split("_")[1]) for path in data.train_dataset.image_filenames]
        assert drawn[:, 1].tolist() == [numbers[camera] for camera in drawn[:, 0].tolist()]


class TestFewPictures:
    @pytest.mark.parametrize("number", [3, 8])
    def test_those_that_are_learned_from_stand_in_for_held_out_ones(self, own_scene: Scene, tmp_path: Path, number: int):
        file = own_scene.folder / "transforms.json"
        meta = json.loads(file.read_text())
        file.write_text(json.dumps({**meta, "frames": meta["frames"][:number]}))
        with CONSOLE.capture() as said:
            data = data_manager(own_scene, tmp_path)
        assert len(data.train_dataset) == len(data.eval_dataset) == number and data.nothing_held_out
        assert "No picture is held out of so few: those that are learned from stand in for them." in said.get()
        assert data.eval_dataset.get_data(0)["image"].shape == (HEIGHT, WIDTH, 3)


class TestMasks:
    def test_what_no_mask_shows_cannot_be_learned(self, own_scene: Scene, tmp_path: Path):
        file = own_scene.folder / "transforms.json"
        meta = json.loads(file.read_text())
        Image.new("L", (WIDTH, HEIGHT)).save(own_scene.folder / "black.png")
        frames = [{**frame, "mask_path": "black.png"} for frame in meta["frames"]]
        file.write_text(json.dumps({**meta, "frames": frames}))
        text = "data: the masks leave nothing to learn from; white in them what is to be learned."
        with pytest.raises(ValueError, match=message(text)):
            data_manager(own_scene, tmp_path).next_train(0)

    def test_pictures_without_one_are_learned_whole(self, own_scene: Scene, tmp_path: Path):
        file = own_scene.folder / "transforms.json"
        meta = json.loads(file.read_text())
        Image.fromarray(np.eye(4, dtype=np.uint8) * 255).resize((WIDTH, WIDTH)).crop((0, 0, WIDTH, HEIGHT)).convert(
            "RGB"
        ).save(own_scene.folder / "mask.png")
        meta["frames"][3]["mask_path"] = "mask.png"
        file.write_text(json.dumps(meta))
        store = data_manager(own_scene, tmp_path).store
        by_picture = store.mask.reshape(11, HEIGHT, WIDTH).float().mean((1, 2))
        assert sorted(by_picture.tolist())[1:] == [1.0] * 10 and 0.1 < float(by_picture.min()) < 0.4


class TestSmallerPictures:
    def test_of_which_there_are_none_are_made_while_they_are_read(self, own_scene: Scene, tmp_path: Path):
        config = small_config(own_scene, tmp_path).pipeline.datamanager
        config.dataparser.downscale_factor = 2
        data = config.setup(device="cpu", test_mode="val", world_size=1, local_rank=0)
        assert data.store.sizes.tolist() == [[HEIGHT // 2, WIDTH // 2]] * 11
        assert config.dataparser._target is Nerfstudio  # what is saved with the run is the host's


def test_pictures_that_do_not_fit_are_refused_before_they_are_read(own_scene: Scene, tmp_path: Path):
    data = data_manager(own_scene, tmp_path)
    needed = 5 * 11 * HEIGHT * WIDTH
    _check_memory(data.train_dataset.cameras, needed)
    text = (
        f"data: 11 pictures of {WIDTH}x{HEIGHT} take 0.0 GB, and 0.0 GB are free; work on them at another size, "
        f"--pipeline.datamanager.size {WIDTH // 2} for example."
    )
    with pytest.raises(ValueError, match=message(text)):
        _check_memory(data.train_dataset.cameras, needed // 2)
