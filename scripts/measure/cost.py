"""What a run costs by the size and the number of its pictures, as a table in Markdown.

A scene's pictures are resized and, where more are asked for than it has, used again. Both stages run for a few steps of the
default size, with as many kept samples as a whole run; seconds of a whole stage are those of a step times its steps.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from ins3d.files.run_record import peak_memory_mb
from ins3d.style.sizes import rays_to_keep, steps_of_a_content, steps_of_a_style

CONTENT_STEPS = 60
RAYS_OF_A_STEP = 36_000
"""Of a style step, at least: as many steps are made as use up the rays that a whole run keeps."""
COLUMNS = (
    "megapixels", "pictures", "read and placed, s", "content, ms a step", "samples kept, s",
    "style, ms a step",
    "whole run, s", "peak memory, MB", "a frame, s", "its memory, MB", "files, MB",
)  # fmt: skip


@dataclass
class Cost:
    """One row."""

    megapixels: float
    pictures: int
    start: float
    content: float
    samples: float
    style: float
    memory: float
    frame: float
    frame_memory: float
    files: float

    @property
    def whole(self) -> float:
        pixels = int(self.megapixels * 1e6)
        stages = steps_of_a_content(pixels) * self.content + self.samples + steps_of_a_style(pixels) * self.style
        return self.start + stages

    def row(self) -> str:
        numbers = (
            f"{self.megapixels:.2f}", self.pictures, f"{self.start:.1f}", f"{1e3 * self.content:.0f}", f"{self.samples:.1f}",
            f"{1e3 * self.style:.0f}", f"{self.whole:.0f}", f"{self.memory:.0f}", f"{self.frame:.2f}",
            f"{self.frame_memory:.0f}", f"{self.files:.0f}",
        )  # fmt: skip
        return "| " + " | ".join(map(str, numbers)) + " |"


def resized_scene(scene: Path, folder: Path, megapixels: float, number: int) -> Path:
    """The scene with `number` pictures of so many megapixels."""
    meta = json.loads((scene / "transforms.json").read_text())
    share = (megapixels * 1e6 / (meta["w"] * meta["h"])) ** 0.5
    size = round(meta["w"] * share), round(meta["h"] * share)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for index in range(number):
        frame = meta["frames"][index % len(meta["frames"])]
        name = f"images/{index:04d}.jpg"
        if not (folder / name).exists():
            Image.open(scene / frame["file_path"]).resize(size, Image.Resampling.LANCZOS).save(folder / name, quality=90)
        frames.append({**frame, "file_path": name})
    lens = {key: meta[key] * size[0] / meta["w"] for key in ("fl_x", "fl_y", "cx", "cy")}
    (folder / "transforms.json").write_text(json.dumps({**meta, **lens, "w": size[0], "h": size[1], "frames": frames}))
    return folder


def measure(data: Path, style: Path, folder: Path, megapixels: float, number: int) -> Cost:
    style_steps = math.ceil(rays_to_keep(int(megapixels * 1e6)) / RAYS_OF_A_STEP)
    command = [
        *("ns-train", "ins-stylize-small", "--data", data, "--vis", "tensorboard", "--output-dir", folder),
        *("--experiment-name", "cost", "--timestamp", "run"),
        *("--pipeline.model.styles", style, "--pipeline.datamanager.size", 0),
        *("--pipeline.content-steps", CONTENT_STEPS, "--pipeline.style-steps", style_steps),
    ]  # fmt: skip
    began = time.monotonic()
    with open(folder / "log.txt", "w") as log:
        subprocess.run([Path(sys.executable).with_name(str(command[0])), *map(str, command[1:])], stdout=log, check=True)
    wall = time.monotonic() - began
    run = folder / "cost" / "ins-stylize-small" / "run"
    record = json.loads((run / "run.json").read_text())
    spent = record["seconds"]
    asked = [sys.executable, __file__, "--frame", str(run / "config.yml")]
    frame = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    return Cost(
        megapixels, number, wall - sum(spent.values()), spent["content"] / CONTENT_STEPS,
        spent["keeping_samples"], spent["style"] / style_steps, record["peak_memory_mb"]["ram"], frame["seconds"],
        frame["memory_mb"], sum(file.stat().st_size for file in run.rglob("*") if file.is_file()) / 1e6,
    )  # fmt: skip


def time_a_frame(config: Path) -> None:
    """Prints seconds of one painted frame, the better of two, and the most memory that the process ever had."""
    pipeline = eval_setup(config, test_mode="inference")[1]
    assert pipeline.datamanager.train_dataset is not None
    camera, spent = pipeline.datamanager.train_dataset.cameras[:1], []
    for _ in range(2):
        began = time.monotonic()
        pipeline.model.get_outputs_for_camera(camera)
        spent.append(time.monotonic() - began)
    print(json.dumps({"seconds": min(spent), "memory_mb": peak_memory_mb()["ram"]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a scene with one transforms.json and one lens")
    parser.add_argument("--style", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--sizes",
        nargs="+",
        help="MEGAPIXELSxPICTURES",
        default=["0.03x50", "0.13x50", "0.5x50", "0.5x300", "2x50"],
    )
    parser.add_argument("--frame", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.frame is not None:
        time_a_frame(given.frame)
        return
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for size in given.sizes:
        megapixels, number = size.split("x")
        folder = given.output / size
        data = resized_scene(given.data, folder / "scene", float(megapixels), int(number))
        print(measure(data, given.style, folder, float(megapixels), int(number)).row(), flush=True)


if __name__ == "__main__":
    main()
