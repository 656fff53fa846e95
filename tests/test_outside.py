"""What another package brings works on the command line: tests/outside is such a package, as pip would install it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ROOT / "tests" / "outside"


def run(*words: str, folder: Path) -> str:
    """Says what a Python module says that is run where the outside package is installed."""
    environment = os.environ | {"PYTHONPATH": str(OUTSIDE), "COLUMNS": "200"}
    called = [sys.executable, "-m", *words]
    done = subprocess.run(called, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
class TestLoss:
    def test_ns_train_minimises_it(self, tmp_path: Path):
        small = [
            "--pipeline.content-steps", "4", "--pipeline.style-steps", "4", "--pipeline.pool.max-rays", "20000",
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
        said = subprocess.run(
            [sys.executable, "-m", "ins3d.cli.main", "picture", "stylize", "--style-loss", "maximal", "--output", "out"],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(OUTSIDE)}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert said.returncode == 1 and "style-loss: there is no 'maximal' (did you mean maxima?)" in said.stderr
