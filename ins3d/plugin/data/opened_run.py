"""A finished run is a folder: where it and its data are now, whatever its config.yml says of where they were."""

import os
import sys
from pathlib import Path
from typing import Any

VARIABLE = "INS3D_DATA"
"""Environment variable: where the photographs of a run are now."""
SCENE_FILE = "scene.pt"
"""Beside config.yml: the scene's cameras, for when its photographs are gone."""


def config_being_opened() -> Path | None:
    """The config.yml that the host's `eval_setup` is just opening; it does not tell the settings that it reads from it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "eval_setup":
            return Path(frame.f_locals["config_path"]).absolute()
        frame = frame.f_back  # type: ignore[assignment]
    return None


def keep_places(pipeline: Any, folder: Path) -> None:
    """Makes paths of a run that begins absolute: it may be opened from another folder. `folder` is the run's."""
    pipeline.run_dir = folder.absolute()
    for settings in (pipeline.datamanager, pipeline.datamanager.dataparser):
        if settings.data is not None:
            settings.data = Path(settings.data).absolute()


def settle(pipeline: Any, folder: Path) -> None:
    """Settings of a run that is opened say where it is, and where its data are, as far as they can be found."""
    before, pipeline.run_dir = pipeline.run_dir, folder
    data = pipeline.datamanager.data or pipeline.datamanager.dataparser.data
    pipeline.datamanager.data = pipeline.datamanager.dataparser.data = found_data(Path(data), folder, before)
    pipeline.datamanager.scene_file = folder / SCENE_FILE


def found_data(data: Path, folder: Path, before: Path | None) -> Path:
    """Where data are now: where somebody says, where they were, as seen from the run where they were, or above the run."""
    if told := os.environ.get(VARIABLE):
        return Path(told).absolute()
    candidates = [data.absolute()]
    if data.is_absolute() and before is not None and before.is_absolute():
        candidates.append(Path(os.path.normpath(folder / os.path.relpath(data, before))))
    candidates += [] if data.is_absolute() else [parent / data for parent in folder.parents]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])
