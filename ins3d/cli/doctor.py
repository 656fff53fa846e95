"""What a bug report needs, in lines that can be pasted: versions, device, encoder, ffmpeg, methods, and what is missing.

    ins3d doctor

Nothing is downloaded. Leaves with 1 if something that every user needs does not work.
"""

import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import psutil
import torch
import tyro

from ins3d.evaluation import optical_flow
from ins3d.files.run_record import run_record
from ins3d.files.weights import Kind, weights_at_hand
from ins3d.perception import lpips
from ins3d.perception.weights import COMPACT_FILE, WEIGHTS_VARIABLE, encoder_at_hand
from ins3d.transfer import microast

METHODS_GROUP = "nerfstudio.method_configs"
IMPORTED = ("open3d", "kornia", "cv2", "matplotlib", "xatlas", "trimesh")
"""Packages that bring libraries of their own, which a system may lack."""
OPTIONAL_WEIGHTS: tuple[tuple[str, str, str | None, Kind, str], ...] = (
    ("RAFT", optical_flow.WEIGHTS_VARIABLE, optical_flow.OFFICIAL_FILE, "file", "evaluate: protocols A and B"),
    ("LPIPS", lpips.BACKBONE_VARIABLE, lpips.OFFICIAL_FILES["squeeze"], "file", "evaluate: LPIPS"),
    ("MicroAST", microast.WEIGHTS_VARIABLE, None, "folder", "evaluate: frames painted one by one, for comparison"),
)
"""Networks of other people that the evaluation judges with: name, variable, official file, kind, what for."""


@dataclass
class Diagnosis:
    """What was found, what is missing for which feature, and what is broken."""

    found: list[tuple[str, str]] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    """What is not there, and what is not to be had, or slower, without it."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    """What must work, and how it fails."""

    def lines(self) -> Iterable[str]:
        """For a terminal, and for a bug report."""
        for title, entries in (("", self.found), ("Missing, and what for:", self.missing), ("BROKEN:", self.broken)):
            if entries and title:
                yield f"\n{title}"
            width = max((len(name) for name, _ in entries), default=0)
            yield from (f"{name:<{width}}  {text}" for name, text in entries)


def diagnose() -> Diagnosis:
    """Looks at everything; imports nerfstudio, which takes seconds."""
    told = Diagnosis()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _versions(told)
    told.found.append(("device", _device(device)))
    for look in (partial(_encoder, device), _ffmpeg, _methods, _packages, _optional_weights, _tinycudann):
        look(told)
    return told


def main(arguments: list[str] | None = None, prog: str | None = None) -> None:
    """Runs `ins3d doctor`."""
    tyro.cli(lambda: None, args=arguments, description=__doc__, prog=prog)
    _print(diagnose())


def _print(told: Diagnosis) -> None:
    print("\n".join(told.lines()))
    if told.broken:
        raise SystemExit(1)


def _versions(told: Diagnosis) -> None:
    record = run_record()
    versions = {name: version or "not installed" for name, version in record["versions"].items()}
    told.found += [
        ("ins3d", f"{versions.pop('ins3d')}, commit {record['commit'] or 'unknown (no checkout)'}"),
        ("system", f"{platform.platform()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _device(device: torch.device) -> str:
    if device.type == "cpu":
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        return f"cpu, {torch.get_num_threads()} threads (torch is {built}, and sees no GPU)"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, CUDA {torch.version.cuda}"


def _encoder(device: torch.device, told: Diagnosis) -> None:
    try:
        file = encoder_at_hand(None, "auto", device)
    except FileNotFoundError as error:
        told.broken.append(("encoder", str(error)))
        return
    if file is None:
        told.found.append(("encoder", "vgg19, downloaded when it is first needed (548 MB); compact if that fails"))
        return
    told.found.append(("encoder", f"{file.path.name}, found in {file.found_in}"))
    if file.path == COMPACT_FILE:
        told.missing.append(("VGG-19", f"finer strokes; name its file with {WEIGHTS_VARIABLE}"))


def _ffmpeg(told: Diagnosis) -> None:
    import imageio_ffmpeg

    system = shutil.which("ffmpeg")
    try:
        told.found.append(("ffmpeg", system or f"{imageio_ffmpeg.get_ffmpeg_exe()} (of imageio-ffmpeg)"))
    except RuntimeError as error:
        told.broken.append(("ffmpeg", f"videos cannot be written: {error}"))


def _methods(told: Diagnosis) -> None:
    """nerfstudio drops a method that does not load with a line among many; here it is said why."""
    entries = [entry for entry in importlib.metadata.entry_points(group=METHODS_GROUP) if entry.value.startswith("ins3d.")]
    loaded = []
    for entry in entries:
        try:
            entry.load()
            loaded.append(entry.name)
        except Exception as error:  # whatever stops it
            told.broken.append((entry.name, f"does not load: {type(error).__name__}: {error}"))
    if not entries:
        told.broken.append(("methods", "none is registered with nerfstudio; install ins3d again, as its README says"))
    elif loaded:
        told.found.append(("methods", f"{', '.join(sorted(loaded))} (registered with nerfstudio)"))


def _packages(told: Diagnosis) -> None:
    for name in IMPORTED:
        try:
            importlib.import_module(name)
        except Exception as error:  # a missing library raises OSError, a missing package ImportError
            told.broken.append((name, f"cannot be imported: {type(error).__name__}: {error}"))


def _optional_weights(told: Diagnosis) -> None:
    for name, variable, official, kind, needed_for in OPTIONAL_WEIGHTS:
        try:
            file = weights_at_hand(None, name, variable, official, kind)
        except FileNotFoundError as error:
            told.missing.append((name, f"{needed_for}; {error}"))
            continue
        if file is not None:
            told.found.append((name, f"{file.path}, found in {file.found_in}"))
        else:
            how = "downloaded when first needed, or " if official else ""
            told.missing.append((name, f"{needed_for}; {how}name its file with {variable}"))


def _tinycudann(told: Diagnosis) -> None:
    try:
        importlib.import_module("tinycudann")
        told.found.append(("tinycudann", "ins-stylize-hash uses it"))
    except Exception:  # not there, or built for another torch or GPU
        told.missing.append(("tinycudann", "a faster ins-stylize-hash on a GPU; without it torch does the same, slower"))
