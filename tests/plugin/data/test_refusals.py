import subprocess
import sys
from pathlib import Path

import pytest

from ins3d.files.pictures import read_picture
from ins3d.plugin.data.refusals import remove_unbegun, tell


class TestTell:
    def said(self, capsys: pytest.CaptureFixture[str], call) -> str:
        with pytest.raises(Exception) as caught:
            call()
        tell(caught.type, caught.value, caught.tb)
        return capsys.readouterr().err

    def test_a_refusal_of_ours_is_one_sentence(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        said = self.said(capsys, lambda: read_picture(tmp_path / "a.png", "styles"))
        assert said == f"styles: {tmp_path / 'a.png'} does not exist; give the path of a picture (png, jpg, webp, tiff).\n"

    def test_anything_else_is_told_as_ever(self, capsys: pytest.CaptureFixture[str]):
        said = self.said(capsys, lambda: int("three"))
        assert said.startswith("Traceback (most recent call last)") and "invalid literal" in said


class TestRemoveUnbegun:
    def run(self, folder: Path, *names: str) -> Path:
        run = folder / "outputs" / "scene" / "ins-stylize" / "time"
        run.mkdir(parents=True)
        for name in ("config.yml", *names):
            (run / name).write_text("")
        return run

    def test_nothing_is_left_of_it(self, tmp_path: Path):
        remove_unbegun(self.run(tmp_path))
        assert list(tmp_path.iterdir()) == []

    def test_runs_beside_it_stay(self, tmp_path: Path):
        run = self.run(tmp_path)
        (run.parent / "another").mkdir()
        remove_unbegun(run)
        assert [path.name for path in run.parent.iterdir()] == ["another"]

    def test_what_has_begun_stays(self, tmp_path: Path):
        run = self.run(tmp_path, "content.ckpt")
        remove_unbegun(run)
        assert len(list(run.iterdir())) == 2


def test_ns_train_refuses_in_a_sentence_and_leaves_no_folder(tmp_path: Path):
    """The whole command, as it is typed; seconds, most of them imports."""
    command = Path(sys.executable).with_name("ns-train")
    done = subprocess.run(
        [command, "ins-stylize", "--data", str(tmp_path / "none"), "--output-dir", str(tmp_path / "outputs"), "--vis",
         "tensorboard"], capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"data: {tmp_path / 'none' / 'transforms.json'} does not exist; give a folder that ns-process-data made, or name "
        "the kind of data after all other options (blender-data, ...)."
    )
    assert not (tmp_path / "outputs").exists()
