"""Training on a GPU that is none (`pretended_gpu.py`): devices do not meet, and few lines of a step wait for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.tiny_scenes import Scene

CONTENT_WAITS, STYLE_WAITS = 1, 3
"""Of a step, but for the host's rays of pictures with lenses of their own."""
PRETENDED = Path(__file__).with_name("pretended_gpu.py")


def train(folder: Path, scene: Scene, styles: list[Path], steps: int, *data: str) -> dict[str, int]:
    """{line of the product: how often it waited} in a run of so many steps in each stage."""
    command = [
        *(sys.executable, str(PRETENDED), "train", "ins-stylize-small", "--data", str(scene.folder), "--vis", "tensorboard"),
        *("--output-dir", str(folder), "--pipeline.content-steps", str(steps), "--pipeline.style-steps", str(steps)),
        *("--pipeline.patches.size", "32", "--pipeline.patches.max-rays", "5000"),
        *("--pipeline.model.perceptual-encoder", "compact", "--pipeline.model.styles", *map(str, styles)),
        *data,
    ]  # fmt: skip
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("WAITS")[2])


@pytest.fixture
def lenses_of_their_own(open_scene: Scene, tmp_path: Path) -> Scene:
    """The open scene with a focal length for each picture."""
    meta = json.loads((open_scene.folder / "transforms.json").read_text())
    for number, frame in enumerate(meta["frames"]):
        frame["fl_x"] = frame["fl_y"] = meta["fl_x"] * (1 + 0.001 * number)
        frame["file_path"] = str(open_scene.folder / frame["file_path"])
    (tmp_path / "lenses").mkdir()
    (tmp_path / "lenses" / "transforms.json").write_text(json.dumps(meta))
    return Scene(**{**vars(open_scene), "folder": tmp_path / "lenses"})


@pytest.mark.slow
class TestBothStages:
    def test_pictures_may_have_lenses_of_their_own_and_a_step_waits_a_few_times(
        self, lenses_of_their_own: Scene, scenes_folder: Path, tmp_path: Path
    ):
        few, many = (train(tmp_path, lenses_of_their_own, [scenes_folder / "style.png"], steps) for steps in (2, 5))
        of_steps = {line: many[line] - few.get(line, 0) for line in many if not line.startswith("plugin/rays/pixel_rays")}
        assert sum(of_steps.values()) == 3 * (CONTENT_WAITS + STYLE_WAITS), of_steps

    def test_an_object_with_alpha_in_two_styles(self, object_scene: Scene, scenes_folder: Path, tmp_path: Path):
        styles = [scenes_folder / "style.png", Path("scenes/styles/swirls.png").absolute()]
        train(tmp_path, object_scene, styles, 2, "blender-data")
