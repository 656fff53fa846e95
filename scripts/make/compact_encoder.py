"""Distils the compact encoder that ships with ins3d from VGG-19.

    python scripts/make/compact_encoder.py --assets ../shared/assets

Teacher and student see the same crops; 1x1 heads, thrown away afterwards, lift the student's features to the teacher's.
Half of every batch is on policy: pictures that are being stylised against the student, where it would be fooled first.
How it works is in `compact_distillation.py` beside this file. Killed runs go on where they were saved last.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from compact_distillation import LAYERS, Distillation, channel_sizes, measure, reflecting
from compact_pictures import OnPolicyPictures
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file

from ins3d.files.run_record import run_record
from ins3d.files.whole import replace_file
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import WeightsFile, load_weights
from ins3d.transfer.crops import Crops

TEACHER = "vgg/vgg19_caffe_conv1_1-conv4_1_f16.safetensors"
HELD_OUT_STYLES = ("starry_night", "mosaic", "sketch")
CONSOLE = Console()


@dataclass
class Settings:
    """What is learned from, for how long, and where it goes."""

    assets: Path = Path("../shared/assets")
    """Folder with vgg/, images/, styles/, content/; images/kodak and three of the styles are held out."""
    output: Path = Path("outputs/compact_encoder")
    """Checkpoint, log and the finished encoder."""
    steps: int = 3200
    batch: int = 8
    """Crops per step, half of them on policy."""
    size: int = 128
    """Side of a crop, in pixels."""
    rate: float = 2e-3
    """Peak learning rate of Adam; falls to nothing along a cosine."""
    save_every: int = 100
    seed: int = 0


def main(settings: Settings) -> None:
    """Trains, or goes on training, and writes the encoder."""
    generator = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)
    teacher = _teacher(settings.assets / TEACHER)
    photographs = Crops(_training_photographs(settings.assets), settings.size, generator)
    paintings = Crops(_training_paintings(settings.assets), settings.size, generator)
    held_out = Crops(sorted((settings.assets / "images/kodak").iterdir()), settings.size, torch.Generator().manual_seed(1))
    judged = held_out.draw(16)
    both = torch.cat([photographs.draw(24), paintings.draw(8)])
    distillation = Distillation(teacher, channel_sizes(teacher, both), both, settings.rate, settings.steps)
    policy = OnPolicyPictures(photographs, paintings, settings.batch // 2, generator)
    start = _resume(settings, distillation, policy, generator)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE) as bar:
        task = bar.add_task("distilling", total=settings.steps, completed=start)
        for step in range(start, settings.steps):
            rest = settings.batch - settings.batch // 2
            fresh = torch.cat([photographs.draw(rest - rest // 2), paintings.draw(rest // 2)])
            mistakes = distillation.step(fresh, policy)
            bar.update(task, advance=1, description=" ".join(f"{name} {value:.3f}" for name, value in mistakes.items()))
            if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
                _save(settings, step + 1, distillation, policy, generator)
                _log(settings, step + 1, mistakes, measure(distillation, judged))
    path = settings.output / "compact_encoder.safetensors"
    record = run_record(
        settings={key: str(value) for key, value in asdict(settings).items() if key not in ("assets", "output")}
    )
    save_file(distillation.encoder_state(), path, metadata={"record": json.dumps(record)})
    CONSOLE.print(f"Wrote {path}: {path.stat().st_size / 1e6:.2f} MB.")


def _teacher(path: Path) -> PerceptualFeatures:
    if not path.is_file():
        raise FileNotFoundError(f"assets: {path} is missing; name the folder of the development assets with --assets.")
    state = load_weights(WeightsFile(path, "the development assets"))
    return reflecting(PerceptualFeatures(state, LAYERS, path.name)).use_fast_precision(torch.device("cpu"))


def _training_photographs(assets: Path) -> list[Path]:
    return sorted([*(assets / "images/bsds500/train").iterdir(), *(assets / "content").iterdir()])


def _training_paintings(assets: Path) -> list[Path]:
    return sorted(path for path in (assets / "styles").iterdir() if path.stem not in HELD_OUT_STYLES)


def _resume(settings: Settings, distillation: Distillation, policy: OnPolicyPictures, generator: torch.Generator) -> int:
    path = settings.output / "checkpoint.pt"
    if not path.is_file():
        return 0
    saved = torch.load(path, weights_only=True)
    now = _kept(settings)
    if saved["settings"] != now:
        raise ValueError(f"output: {path} was made with {saved['settings']}, not {now}; use those, or another --output.")
    distillation.go_on(saved["distillation"])
    policy.load_state_dict(saved["policy"])
    generator.set_state(saved["generator"])
    CONSOLE.print(f"Going on from step {saved['step']} ({path}).")
    return saved["step"]


def _kept(settings: Settings) -> dict[str, float]:
    """What a resumed run must not change."""
    return {name: getattr(settings, name) for name in ("steps", "batch", "size", "rate", "seed")}


def _save(settings: Settings, step: int, distillation: Distillation, policy: OnPolicyPictures, generator) -> None:
    settings.output.mkdir(parents=True, exist_ok=True)
    path = settings.output / "checkpoint.pt"
    state = {
        "step": step,
        "distillation": distillation.progress(),
        "policy": policy.state_dict(),
        "generator": generator.get_state(),
        "settings": _kept(settings),
    }
    replace_file(path, lambda aside: torch.save(state, aside))


def _log(settings: Settings, step: int, training: dict[str, float], held_out: dict[str, float]) -> None:
    line = {"step": step, "training": training, "held_out": held_out}
    with (settings.output / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
