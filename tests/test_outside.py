"""What another package brings works on the command line: tests/outside is such a package, as pip would install it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ROOT / "tests" / "outside"
CONTENT = "--pipeline.model.content"


def run(*words: str, folder: Path, fails: bool = False) -> str:
    """Says what a Python module says that is run where the outside package is installed."""
    path = os.pathsep.join([str(OUTSIDE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "300"}
    called = [sys.executable, "-m", *words]
    done = subprocess.run(called, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr if fails else done.stdout


def make_picture(path: Path, seed: int) -> Path:
    """A picture of blurred noise."""
    noise = np.random.default_rng(seed).random((8, 8, 3))
    imageio.imwrite(path, (255 * noise.repeat(12, 0).repeat(12, 1)).astype(np.uint8))
    return path


def ns_train(folder: Path, *more: str, fails: bool = False) -> str:
    """Says what a run of a few steps says; `more` are its options."""
    small = [
        "--pipeline.content-steps", "6", "--pipeline.style-steps", "4", "--pipeline.patches.max-rays", "25000",
        "--pipeline.datamanager.size", "144",
        "--vis", "tensorboard", "--machine.device-type", "cpu", "--timestamp", "run", "--experiment-name", "scene",
    ]  # fmt: skip
    where = ["--data", str(ROOT / "scenes" / "still_life"), "--output-dir", str(folder)]
    return run("nerfstudio.scripts.train", "ins-stylize", *small, *more, *where, folder=folder, fails=fails)


@pytest.mark.slow
class TestLoss:
    def test_ns_train_minimises_it(self, tmp_path: Path):
        said = ns_train(tmp_path, "--pipeline.model.style-loss", "gram", "maxima:0.5")
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
    def test_ns_train_paints_it_and_the_run_opens_again(self, tmp_path: Path):
        said = ns_train(tmp_path, CONTENT, "somebodys_ball:size=0.8")
        assert "rgb_loss" in said and "gram_bold_loss" in said
        finished = tmp_path / "scene" / "ins-stylize" / "run"
        assert (finished / "preview.png").is_file()
        said = ns_train(tmp_path, "--pipeline.content-checkpoint", str(finished), "--timestamp", "again")
        assert "the content stage is skipped" in said
        film = ["--load-config", str(finished / "config.yml"), "--frames", "2", "--scale", "0.2", "--output", "film"]
        run("ins3d.cli.main", "film", *film, folder=tmp_path)
        assert (tmp_path / "film" / "strength.mp4").is_file()

    def test_geometry_that_cannot_move_is_refused(self, tmp_path: Path):
        said = ns_train(tmp_path, CONTENT, "somebodys_ball", "--pipeline.model.geometry", "distilled", fails=True)
        assert (
            "pipeline.model.geometry: distilled changes densities, and of the content (somebodys_ball) none can be changed; "
            "use --pipeline.model.geometry locked and --pipeline.content-style-mult 0." in said
        )

    def test_one_that_is_not_there_is_told_with_the_nearest(self, tmp_path: Path):
        said = ns_train(tmp_path, CONTENT, "somebody_ball", fails=True)
        assert (
            "pipeline.model.content: there is no 'somebody_ball' (did you mean somebodys_ball?); choose among grid, planes, "
            "frequency, hash, splats, somebodys_ball, somebodys_nothing." in said
        )

    def test_one_that_is_none_is_told_which_method_it_lacks(self, tmp_path: Path):
        said = ns_train(tmp_path, CONTENT, "somebodys_nothing", fails=True)
        assert "ins3d.contents: somebodys_nothing is no content: it has no setup; see ins3d.plugin.contents.content" in said


@pytest.mark.slow
class TestStyle:
    def test_ns_train_paints_in_a_style_of_two_pictures(self, tmp_path: Path):
        first, second = (str(make_picture(tmp_path / f"{name}.png", seed)) for seed, name in enumerate(("sea", "sky")))
        ns_train(tmp_path, "--pipeline.model.styles", f"pair:{first},{second}")
        told = json.loads((tmp_path / "scene" / "ins-stylize" / "run" / "run.json").read_text())
        assert told["styles"] == [f"sea_and_sky={first}+{second}"] and list(told["loss_normalisers"]) == ["sea_and_sky"]

    def test_what_it_refuses_is_said_with_the_option(self, tmp_path: Path):
        said = run("ins3d.cli.main", "picture", "stylize", "--styles", "pair:a.png", folder=tmp_path, fails=True)
        assert "styles: pair:a.png: 1 pictures are no pair; write pair:FIRST,SECOND." in said


@pytest.mark.slow
class TestWindowRule:
    def test_ns_train_looks_at_its_windows(self, tmp_path: Path):
        rule = [
            "--pipeline.patches.rule",
            "somebodys_tiles",
            "--pipeline.patches.size",
            "48",
            "--pipeline.patches.strides",
            "2",
        ]
        assert "gram_bold_loss" in ns_train(tmp_path, *rule)

    def test_one_that_is_not_there_is_told_with_the_nearest(self, tmp_path: Path):
        said = ns_train(tmp_path, "--pipeline.patches.rule", "somebodys_tile", fails=True)
        assert "patches.rule: there is no 'somebodys_tile' (did you mean somebodys_tiles?); choose among squares" in said


@pytest.mark.slow
def test_pictures_and_objects_take_all_of_them(tmp_path: Path):
    pair = f"pair:{make_picture(tmp_path / 'sea.png', 0)},{make_picture(tmp_path / 'sky.png', 1)}"
    words = ["--styles", pair, "--style-loss", "gram", "maxima:0.5", "--device", "cpu", "--steps", "3"]
    tiles = ["--patches.rule", "somebodys_tiles", "--patches.size", "32", "--patches.strides", "1"]
    shape = ["--size", "64", "--device", "cpu"]
    run("ins3d.cli.main", "picture", "fit", *shape, "--steps", "60", "--output", "fitted", folder=tmp_path)
    fitted = ["--size", "64", "--fit", "fitted", "--output", "picture"]
    run("ins3d.cli.main", "picture", "stylize", *fitted, *words, *tiles, folder=tmp_path)
    told = json.loads((tmp_path / "picture" / "field.json").read_text())
    assert told["styles"] == ["sea_and_sky"]
    fit = ["object", "fit-mesh", "--steps", "2", "--device", "cpu", "--output", "fit"]
    run("ins3d.cli.main", *fit, folder=tmp_path)
    small = ["--views", "4", "--view-size", "96", "--patches.max-rays", "5000", "--export"]
    run("ins3d.cli.main", "object", "stylize", "--fit", "fit", *words, *tiles, *small, "--output", "object", folder=tmp_path)
    with (tmp_path / "object" / "loss.csv").open(newline="") as file:
        assert "maxima_loss" in next(csv.DictReader(file))
