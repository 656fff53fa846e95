import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup
from nerfstudio.utils.rich_utils import CONSOLE

from ins3d.plugin.data.opened_run import found_data, keep_places
from tests.plugin.tiny_scenes import Scene, small_config, train


@pytest.fixture(scope="module")
def work(open_scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and a run of a few steps in outputs/; style and weights lie elsewhere."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(open_scene.folder, folder / "data")
    config = small_config(open_scene, folder, content_steps=2, style_steps=2)
    config.pipeline.datamanager.data = folder / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config.output_dir, config.pipeline.datamanager.data = Path("outputs"), Path("data")
        train(config)
    return folder


@pytest.fixture
def moved(work: Path, tmp_path: Path) -> Path:
    """A copy of all of it in another place; the old one cannot be found from it."""
    shutil.copytree(work, tmp_path / "moved")
    return tmp_path / "moved"


def config_of(folder: Path) -> Path:
    (found,) = folder.rglob("config.yml")
    return found


def opened(config: Path, mode: str = "test") -> Any:
    return eval_setup(config, test_mode=mode)  # type: ignore[arg-type]


class TestRun:
    def test_opens_from_another_folder(self, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        _, pipeline, checkpoint, _ = opened(config_of(work))
        assert checkpoint.is_file() and pipeline.config.run_dir == config_of(work).parent
        assert pipeline.datamanager.train_dataset.get_data(0)["image"].shape[2] == 3

    def test_opens_when_it_was_renamed(self, moved: Path):
        run = config_of(moved).parent
        run.rename(run.with_name("final"))
        config, pipeline, checkpoint, _ = opened(run.with_name("final") / "config.yml")
        assert checkpoint.parent.parent == run.with_name("final") == config.get_base_dir() == pipeline.config.run_dir

    def test_its_data_go_with_it(self, moved: Path, work: Path, monkeypatch: pytest.MonkeyPatch):
        work.rename(work.with_name("gone"))
        try:
            _, pipeline, _, _ = opened(config_of(moved))
        finally:
            work.with_name("gone").rename(work)
        assert pipeline.datamanager.config.data == moved / "data"

    @pytest.mark.parametrize("mode", ["test", "inference"])
    def test_without_data_its_cameras_are_still_known(self, moved: Path, work: Path, mode: str):
        _, whole, _, _ = opened(config_of(work), mode)
        shutil.rmtree(moved / "data")
        work.rename(work.with_name("gone"))
        try:
            with CONSOLE.capture() as said:
                _, pipeline, _, _ = opened(config_of(moved), mode)
            with pytest.raises(
                FileNotFoundError, match=r"^data: the photograph .* is not there; say with INS3D_DATA=FOLDER"
            ):
                pipeline.datamanager.eval_dataset.get_data(0)
            grey = pipeline.datamanager.train_dataset[0]["image"]
            assert grey.unique().tolist() == [0.5]  # as the viewer looks at it
        finally:
            work.with_name("gone").rename(work)
        assert "its saved cameras are used. Where photographs are needed, say with INS3D_DATA=FOLDER" in said.get()
        for split in ("train_dataset", "eval_dataset"):
            here, there = (getattr(each.datamanager, split).cameras for each in (pipeline, whole))
            for name in ("camera_to_worlds", "fx", "cy", "width", "distortion_params"):
                assert torch.equal(getattr(here, name), getattr(there, name))
        camera = pipeline.datamanager.eval_dataset.cameras[:1]
        assert torch.equal(
            pipeline.model.get_outputs_for_camera(camera)["rgb"], whole.model.get_outputs_for_camera(camera)["rgb"]
        )

    def test_without_its_pictures_cameras_are_those_of_the_file(self, moved: Path, monkeypatch: pytest.MonkeyPatch):
        shutil.rmtree(moved / "data" / "images")
        monkeypatch.setenv("INS3D_DATA", str(moved / "data"))
        _, pipeline, _, _ = opened(config_of(moved))
        assert len(pipeline.datamanager.train_dataset.cameras) == 11
        with pytest.raises(FileNotFoundError, match=r"^data: the photograph .* is not there"):
            pipeline.datamanager.eval_dataset.get_data(0)

    def test_or_somebody_says_where_they_are(self, moved: Path, monkeypatch: pytest.MonkeyPatch):
        (moved / "data").rename(moved / "elsewhere")
        monkeypatch.setenv("INS3D_DATA", str(moved / "elsewhere"))
        _, pipeline, _, _ = opened(config_of(moved))
        assert Path(pipeline.datamanager.eval_dataset.image_filenames[0]).is_relative_to(moved / "elsewhere")


class TestFoundData:
    def test_of_an_old_run_whose_paths_are_relative(self, tmp_path: Path):
        (tmp_path / "work/data").mkdir(parents=True)
        run = tmp_path / "work/outputs/s/ins-stylize/t"
        assert found_data(Path("data"), run, Path("outputs/s/ins-stylize/t")) == tmp_path / "work/data"

    def test_what_is_nowhere_keeps_its_name(self, tmp_path: Path):
        assert found_data(tmp_path / "a", tmp_path / "b/c", tmp_path / "b/d") == tmp_path / "a"

    def test_a_run_that_begins_keeps_whole_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        data = SimpleNamespace(data=Path("scene"), dataparser=SimpleNamespace(data=None))
        pipeline = SimpleNamespace(run_dir=None, datamanager=data)
        keep_places(pipeline, Path("outputs/run"))
        assert (pipeline.run_dir, data.data, data.dataparser.data) == (tmp_path / "outputs/run", tmp_path / "scene", None)
