"""A training becomes a folder: it is shown, written, stopped and resumed."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import Tensor

from ins3d.extension.ranges import with_fact
from ins3d.files.fields import MEANING, NUMBERS, TRAINING, load_training, save_training
from ins3d.runs.record import PictureRecord
from ins3d.runs.settings import Trained
from ins3d.runs.training import Losses, Training

PREVIEWS = 10


def run_training(
    settings: Trained, training: Training, losses: Losses, save: Callable[[], None], show: Callable[[], Tensor],
    begun_with: dict[str, Any], end: Callable[[], None] = lambda: None,
    measure: Callable[[Tensor], dict[str, Any]] = lambda picture: {}, **about: Any,
) -> Tensor:  # fmt: skip
    """Runs or resumes, and returns the last picture; what has been reached is there whenever it is stopped.

    `save` writes the field, `show` makes a picture of it, `end` is called after the last step, and what `measure` says
    about the last picture is recorded. A resumed run must be `begun_with` the same; `training.pt` never holds what `end`
    does: a finished run can be resumed too, for more steps or another mix.
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
    record.on_stop = lambda: record.end(look(), stopped=True)
    with record:
        training.run(losses, lambda step, values: record(step, values, look))
        save_training(output / TRAINING, training.state(), begun_with)
    end()
    save()
    picture = show()
    record.end(picture, **measure(picture))
    return picture
