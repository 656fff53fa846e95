"""Times one step of the style stage in several ways, turn by turn in one process, on one finished content.

    python scripts/measure/steps.py --load-config outputs/fox/ins-stylize/RUN/config.yml

Deferred shading with 1, 2 and 4 merged points, every sample shaded, and, at a patch of 16x16 rays, the published
networks beside ours.
"""

import json
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
import yaml
from rich.console import Console
from rich.table import Table

from ins3d.files.run_record import run_record
from ins3d.plugin import methods
from ins3d.plugin.pixel_sampler import PatchSettings
from ins3d.plugin.saved_runs import upgrade

PAPER = "16x16: published networks, 64 + 128 samples"
SMALL = 16
"""Side of the patch that the published networks are compared at: at 64 they need more memory than many machines have."""


@dataclass
class Settings:
    """What to time."""

    load_config: Path
    """config.yml of a finished ins-stylize run: its data, its style, and its content."""
    rounds: int = 5
    """Each way is timed this often, in turn."""
    steps: int = 4
    """Steps in each turn; the published networks take one."""
    output: Path = Path("outputs/steps.json")


def main(settings: Settings) -> None:
    """Prints a table of medians and writes it as JSON."""
    ways = {f"deferred, {count} point{'s' * (count > 1)}": _ours(settings, num_points=(count, 4)) for count in (1, 2, 4)}
    ways["every sample shaded"] = _ours(settings, shading="full")
    ways["16x16: deferred, 1 point"] = _ours(settings, patch_size=SMALL, num_points=(1, 4))
    ways[PAPER] = _paper(settings)
    steps = {name: 0 for name in ways}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(settings.rounds + 1):
        for name, trainer in ways.items():
            count = 1 if name == PAPER else settings.steps
            started = time.perf_counter()
            for _ in range(count):
                trainer.train_iteration(trainer.pipeline.content_steps + steps[name])
                steps[name] += 1
            if turn > 0:  # the first turn keeps samples and warms up
                times[name].append((time.perf_counter() - started) / count * 1e3)
    medians = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    medians |= _frames(next(iter(ways.values())), settings.rounds)
    _report(medians, settings)


def _frames(trainer: Any, rounds: int) -> dict[str, float]:
    """Milliseconds of a held-out frame before and after styling, in turn."""
    model, dataset = trainer.pipeline.model.eval(), trainer.pipeline.datamanager.eval_dataset
    times: dict[str, list[float]] = {"content frame": [], "stylised frame": []}
    for turn in range(rounds + 1):
        camera = dataset.cameras[turn % len(dataset) : turn % len(dataset) + 1].to(model.device)
        for stylized, name in enumerate(times):
            model.is_stylized.fill_(bool(stylized))
            started = time.perf_counter()
            model.get_outputs_for_camera(camera)
            times[name].append((time.perf_counter() - started) * 1e3)
    return {name: sorted(values[1:])[rounds // 2] for name, values in times.items()}


def _run_config(settings: Settings) -> Any:
    config = yaml.load(settings.load_config.read_text(), Loader=yaml.Loader)
    upgrade(config.pipeline)
    return config


def _ours(settings: Settings, patch_size: int | None = None, **model: Any) -> Any:
    config = _run_config(settings)
    for name, value in model.items():
        setattr(config.pipeline.model, name, value)
    config.pipeline.patches.size = patch_size or config.pipeline.patches.size
    config.pipeline.content_checkpoint = settings.load_config
    config.pipeline.patches.max_rays = 150_000
    return _trainer(config)


def _paper(settings: Settings) -> Any:
    theirs = _run_config(settings)
    config = deepcopy(methods.ins_stylize_paper.config)
    config.pipeline.datamanager = theirs.pipeline.datamanager
    config.pipeline.model.styles = theirs.pipeline.model.styles
    config.pipeline.content_steps = 0
    for name in ("perceptual_encoder", "perceptual_weights", "style_layers"):
        setattr(config.pipeline.model, name, getattr(theirs.pipeline.model, name))
    config.pipeline.patches = PatchSettings(size=SMALL, strides=(1,))
    return _trainer(config)


def _trainer(config: Any) -> Any:
    config.vis, config.output_dir, config.timestamp = "tensorboard", Path("outputs"), "{timestamp}"
    config.experiment_name = "measure_steps"
    config.load_dir = None
    config.set_timestamp()
    trainer = config.setup()
    trainer.setup()
    trainer.progress.update = lambda *_: None
    return trainer


def _report(medians: dict[str, float], settings: Settings) -> None:
    fastest = next(iter(medians.values()))
    table = Table("one style step, or one frame", "ms", "times the first")
    for name, milliseconds in medians.items():
        table.add_row(name, f"{milliseconds:.0f}", f"{milliseconds / fastest:.1f}")
    Console().print(table)
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    record = run_record(milliseconds=medians, threads=torch.get_num_threads())
    settings.output.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Settings))
