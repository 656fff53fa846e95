"""Trainings in folders: previews, files, resuming; the fit that a painting begins with, and the painting."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ins3d.extension.ranges import with_fact
from ins3d.files.fields import MEANING, NUMBERS, TRAINING, load_training, save_training
from ins3d.runs.record import CONSOLE, PictureRecord
from ins3d.runs.settings import Painted, Trained
from ins3d.runs.training import LAST_RATE, Losses, Training
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.sampling import MixSampler, steps_for
from ins3d.style.stage import StyleStage, Subject

PREVIEWS = 10
Settings = TypeVar("Settings", bound=Painted)


def run_training(
    settings: Trained, training: Training, losses: Losses, save: Callable[[], None], show: Callable[[], Tensor],
    begun_with: dict[str, Any], end: Callable[[], None] = lambda: None,
    measure: Callable[[Tensor], dict[str, Any]] = lambda picture: {}, show_last: Callable[[], Tensor] | None = None,
    **about: Any,
) -> Tensor:  # fmt: skip
    """Runs or resumes, and returns the last picture; what has been reached is there whenever it is stopped.

    `save` writes the field, `show` makes a picture of it, `show_last` the last one where that is another, `end` is called
    after the last step, and what `measure` says about the last picture is recorded. A resumed run must be `begun_with` the
    same; `training.pt` never holds what `end` does: a finished run can be resumed too, for more steps or another mix.
    """
    output = settings.output
    begun_with = asdict(settings) | about | begun_with
    if settings.resume:
        training.resume(load_training(output / TRAINING, begun_with, with_fact(settings, "may_change")))
    else:
        for name in (TRAINING, MEANING, NUMBERS):
            (output / name).unlink(missing_ok=True)

    def look() -> Tensor:
        save()
        save_training(output / TRAINING, training.state(), begun_with)
        return show()

    every = max(training.num_steps // PREVIEWS, 1)
    record = PictureRecord(output, training.num_steps, every, training.step, settings=asdict(settings), **about)
    record.picture = look
    with record:
        training.run(losses, lambda step, values: record(step, values, look))
        save_training(output / TRAINING, training.state(), begun_with)
    end()
    save()
    picture = (show_last or show)()
    record.end(picture, **measure(picture))
    return picture


def paint(
    settings: Painted, field: Any, subject: Subject[Any], objective: StyleObjective, mix: Mix, train: Callable[..., Tensor]
) -> None:
    """The style stage of an object, in one size; see `paint_with`."""
    paint_with(settings, field, lambda mixes, _: StyleStage(subject, objective, mixes), objective, mix, train)


class Stage(Protocol):
    """What `paint_with` runs: a `StyleStage`, or several in one."""

    def begin(self) -> None:
        """See `StyleStage`."""

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """See `StyleStage`."""
        ...

    def end(self) -> None:
        """See `StyleStage`."""

    def gram_distance(self, style: int, strength: float = 1.0) -> float:
        """See `StyleStage`."""
        ...


def paint_with(
    settings: Painted, field: Any, stage_of: Callable[[MixSampler, int], Stage], objective: StyleObjective, mix: Mix,
    train: Callable[..., Tensor], last_rate: float = LAST_RATE,
) -> None:  # fmt: skip
    """The style stage of a picture or an object (INS, stage 2): `train(training, losses, end=..., encoder=...)` runs it.

    `field` has `groups()`, the parameters that learn; `stage_of` is given the mixes and the number of all steps; `mix` is
    that of which the Gram distance is reported.
    """
    number = len(objective.styles)
    training = Training(field, field.groups(), steps_for(settings.steps, number), settings.seed, last_rate)
    stage = stage_of(MixSampler(number, range(number), settings.seed), training.num_steps)
    stage.begin()
    before = stage.gram_distance(mix.main, strength=0.0)
    train(training, stage.losses, end=stage.end, encoder=objective.features.source)
    name, after = objective.styles[mix.main].name, stage.gram_distance(mix.main)
    CONSOLE.print(f"Gram distance to {name}: {before:.3f} -> {after:.3f}.")


def fit_first(
    settings: Settings, named: Path | None, what: str, is_fitted: Callable[[Path], bool], fit: Callable[..., None]
) -> tuple[Path, Settings]:
    """(folder of the fit that is painted, settings): the folder that was `named`, or `fit` in the output folder.

    There `fit(output=..., seed=..., device=..., resume=...)` is called unless `is_fitted`; with --resume a fit that was
    stopped goes on, and the painting, of which there is nothing yet, begins. Raises FileNotFoundError where there is nothing
    to resume.
    """
    if named is not None:
        return named, settings
    folder, painted = settings.output / "fit", settings.output / TRAINING
    begun = (folder / TRAINING).is_file()
    if settings.resume and not painted.is_file() and not begun:
        raise FileNotFoundError(
            f"resume: there is no {TRAINING} in {settings.output}; leave out --resume, or name its output."
        )
    if is_fitted(folder):
        CONSOLE.print(f"The fit in {folder} is taken; delete it to fit the {what} anew.", soft_wrap=True)
    else:
        CONSOLE.print(f"The {what} is fitted first, into {folder}.", soft_wrap=True)
        fit(output=folder, seed=settings.seed, device=settings.device, resume=settings.resume and begun)
        painted.unlink(missing_ok=True)  # of another fit; one that is refused has cost nothing
    return folder, replace(settings, resume=settings.resume and painted.is_file())


def is_finished(folder: Path) -> bool:
    """Whether a training in this folder came to its end."""
    told = folder / "run.json"
    return told.is_file() and (folder / MEANING).is_file() and not json.loads(told.read_text()).get("stopped")
