"""Kills a training again and again, resumes it, and compares the end with a run that was left alone.

    python scripts/measure/resume.py --kills 5

SIGKILL at random moments of both stages of `ns-train ins-stylize` on the scene that ships with the project.
"""

import json
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Settings:
    """How long the runs are and how often they are killed."""

    kills: int = 5
    """Kills in each stage."""
    content_steps: int = 500
    style_steps: int = 300
    save_every: int = 40
    seed: int = 0
    data: Path = ROOT / "scenes" / "still_life"
    output: Path = Path("outputs/measure_resume")


def main(settings: Settings) -> None:
    """Runs, kills, resumes, evaluates."""
    chooser = random.Random(settings.seed)
    for name in ("undisturbed", "other_seed"):
        _finish(settings, name, seed=42 if name == "undisturbed" else 43)
    folder, done = None, {"content": 0, "style": 0}
    for number in range(100):
        process = _start(settings, f"killed_{number}", folder)
        stage = "content" if done["content"] < settings.kills else "style"
        killed = _kill_in_stage(process, stage, chooser) if done[stage] < settings.kills else False
        process.communicate()
        done[stage] += killed
        folder = _whole_checkpoints(_run(settings, f"killed_{number}")) or folder
        if not killed:
            break
    results = {name: _evaluate(_run(settings, name)) for name in ("undisturbed", "other_seed", f"killed_{number}")}
    print(json.dumps({"kills": done, "resumes": number, "results": results}, indent=1))


def _command(settings: Settings, name: str, load_dir: Path | None, seed: int) -> list[str]:
    command = [
        str(Path(sys.executable).parent / "ns-train"), "ins-stylize", "--data", str(settings.data), "--vis", "tensorboard",
        "--output-dir", str(settings.output), "--experiment-name", "run", "--timestamp", name,
        "--machine.seed", str(seed), "--pipeline.datamanager.seed", str(seed),
        "--pipeline.content-steps", str(settings.content_steps), "--pipeline.style-steps", str(settings.style_steps),
        "--steps-per-save", str(settings.save_every), "--pipeline.patches.max-rays", "150000",
    ]  # fmt: skip
    return command + (["--load-dir", str(load_dir)] if load_dir else [])


def _run(settings: Settings, name: str) -> Path:
    return settings.output / "run" / "ins-stylize" / name


def _start(settings: Settings, name: str, load_dir: Path | None, seed: int = 42) -> subprocess.Popen:
    command = _command(settings, name, load_dir, seed)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(settings: Settings, name: str, seed: int) -> None:
    process = _start(settings, name, None, seed)
    print(process.communicate()[0][-300:])


def _kill_in_stage(process: subprocess.Popen, stage: str, chooser: random.Random) -> bool:
    """Waits until the stage has begun, then for a random while, then kills. False when the run ended first."""
    assert process.stdout is not None
    begun = r"No Nerfstudio checkpoint|Done loading" if stage == "content" else "the style stage begins"
    for line in process.stdout:
        if re.search(begun, line):
            break
    time.sleep(chooser.uniform(1.0, 7.0) + (3.0 if stage == "style" else 0.0))
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    print(f"killed in or after the {stage} stage began")
    return True


def _whole_checkpoints(run: Path) -> Path | None:
    """Every file in the checkpoint folder must load; the newest is what a person would resume from."""
    folder = run / "nerfstudio_models"
    files = sorted(folder.glob("*")) if folder.exists() else []
    for file in files + [f for f in [run / "content.ckpt"] if f.exists()]:
        torch.load(file, map_location="cpu", weights_only=True)
    return folder if files else None


def _evaluate(run: Path) -> dict[str, float]:
    output = run / "eval.json"
    program = str(Path(sys.executable).parent / "ns-eval")
    subprocess.run(
        [program, "--load-config", str(run / "config.yml"), "--output-path", str(output)], check=True, capture_output=True
    )
    return json.loads(output.read_text())["results"]


if __name__ == "__main__":
    main(tyro.cli(Settings))
