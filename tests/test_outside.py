"""What another package brings works on the command line: tests/outside is such a package, as pip would install it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ROOT / "tests" / "outside"


def run(*words: str, folder: Path, fails: bool = False) -> str:
    """Says what a Python module says that is run where the outside package is installed."""
    path = os.pathsep.join([str(OUTSIDE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "300"}
    called = [sys.executable, "-m", *words]
    done = subprocess.run(called, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr if fails else done.stdout


@pytest.mark.slow
class TestLoss:
    def test_ns_train_minimises_it(self, tmp_path: Path):
        small = [
            "--pipeline.content-steps", "4", "--pipeline.style-steps", "4", "--pipeline.patches.max-rays", "20000",
            "--pipeline.model.style-loss", "gram", "maxima:0.5", "--vis", "tensorboard", "--machine.device-type", "cpu",
        ]  # fmt: skip
        said = run(
            "nerfstudio.scripts.train", "ins-stylize", *small, "--data", str(ROOT / "scenes" / "still_life"),
            "--output-dir", str(tmp_path), folder=tmp_path,
        )  # fmt: skip
        assert "maxima_loss" in said and "gram_loss" in said

    def test_pictures_minimise_it(self, tmp_path: Path):
        small = ["--size", "64", "--steps", "20", "--device", "cpu", "--output", "out"]
        run("ins3d.cli.main", "picture", "stylize", *small, "--style-loss", "gram", "maxima:0.5", folder=tmp_path)
        with (tmp_path / "out" / "loss.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert float(rows[-1]["maxima_loss"]) < float(rows[0]["maxima_loss"])

    def test_one_that_is_not_there_is_told_with_the_nearest(self, tmp_path: Path):
        words = ["ins3d.cli.main", "picture", "stylize", "--style-loss", "maximal", "--output", "out"]
        said = run(*words, folder=tmp_path, fails=True)
        assert "style-loss: there is no 'maximal' (did you mean maxima?)" in said


@pytest.mark.slow
class TestContent:
    def ns_train(self, content: str, folder: Path, *more: str, fails: bool = False) -> str:
        small = [
            "--pipeline.model.content", content, "--pipeline.content-steps", "6", "--pipeline.style-steps", "4",
            "--pipeline.patches.max-rays", "20000", "--vis", "tensorboard", "--machine.device-type", "cpu",
            "--timestamp", "run", "--experiment-name", "scene", *more,
        ]  # fmt: skip
        where = ["--data", str(ROOT / "scenes" / "still_life"), "--output-dir", str(folder)]
        return run("nerfstudio.scripts.train", "ins-stylize", *small, *where, folder=folder, fails=fails)

    def test_ns_train_paints_it_and_the_run_opens_again(self, tmp_path: Path):
        said = self.ns_train("somebodys_ball:size=0.8", tmp_path)
        assert "rgb_loss" in said and "gram_loss" in said
        finished = tmp_path / "scene" / "ins-stylize" / "run"
        assert (finished / "preview.png").is_file()
        said = self.ns_train(
            "planes", tmp_path, "--pipeline.content-checkpoint", str(finished), "--timestamp", "again",
        )  # fmt: skip
        assert "the content stage is skipped" in said
        film = ["--load-config", str(finished / "config.yml"), "--frames", "2", "--scale", "0.2", "--output", "film"]
        run("ins3d.cli.main", "film", *film, folder=tmp_path)
        assert (tmp_path / "film" / "strength.mp4").is_file()

    def test_geometry_that_cannot_move_is_refused(self, tmp_path: Path):
        said = self.ns_train("somebodys_ball", tmp_path, "--pipeline.model.geometry", "distilled", fails=True)
        assert (
            "pipeline.model.geometry: distilled changes densities, and content somebodys_ball has no movable geometry; "
            "use locked." in said
        )

    def test_more_samples_of_what_is_not_sampled_are_refused(self, tmp_path: Path):
        said = self.ns_train("somebodys_ball", tmp_path, "--pipeline.model.num-render-samples", "48", fails=True)
        assert "pipeline.model.num-render-samples: content somebodys_ball does not sample rays; leave it out." in said

    def test_one_that_is_not_there_is_told_with_the_nearest(self, tmp_path: Path):
        said = self.ns_train("somebody_ball", tmp_path, fails=True)
        assert (
            "pipeline.model.content: there is no 'somebody_ball' (did you mean somebodys_ball?); choose among planes, "
            "frequency, hash, somebodys_ball, somebodys_nothing." in said
        )

    def test_one_that_is_none_is_told_which_method_it_lacks(self, tmp_path: Path):
        said = self.ns_train("somebodys_nothing", tmp_path, fails=True)
        assert "ins3d.contents: somebodys_nothing is no content: it has no setup; see ins3d.plugin.content" in said
