"""The host's trainer with two stages: whole checkpoints, exact resumption, and progress that a person can read."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from ins3d.files.pictures import write_rgb
from ins3d.files.run_record import peak_memory_mb, run_record
from ins3d.files.whole import replace_file
from ins3d.plugin.content_checkpoint import FILE_NAME
from ins3d.plugin.data.opened_run import SCENE_FILE, config_being_opened, keep_places, settle
from ins3d.plugin.data.refusals import remove_unbegun
from ins3d.plugin.pipeline import InsStylizePipeline
from ins3d.plugin.previews import preview
from ins3d.plugin.progress import StageProgress
from ins3d.plugin.schedule import StageScheduleConfig
from ins3d.plugin.viewer.page import ScenePage
from ins3d.style.mix import FILE_NAME as MIX_FILE_NAME


@dataclass
class InsStylizeTrainerConfig(TrainerConfig):
    """nerfstudio's settings; `max_num_iterations` follows from the stages' lengths."""

    _target: type = field(default_factory=lambda: InsStylizeTrainer)

    def get_base_dir(self) -> Path:
        """The run's folder: of one that is opened, where its config.yml is now."""
        opened = config_being_opened()
        if opened is not None:
            vars(self)["opened_at"] = opened.parent
        return vars(self).get("opened_at") or super().get_base_dir()

    def get_checkpoint_dir(self) -> Path:
        """Of checkpoints. The host asks for it before anything else when a run is opened: its settings are settled here."""
        folder = self.get_base_dir()
        if config_being_opened() is not None:
            settle(self.pipeline, folder)
        return folder / self.relative_model_dir


def which_settings(method: str, machine_has_gpu: bool, device: str) -> str | None:
    """The line that says whether settings are those for a GPU, and where that is unwise; None where there is no choice."""
    big = method == "ins-stylize-big" or (method == "ins-stylize" and machine_has_gpu)
    if big and device == "cpu":
        return (
            f"[yellow]{method} has settings for a GPU: on this CPU it takes hours, and the first line of progress says how "
            "many. ins-stylize-small takes minutes."
        )
    if method != "ins-stylize":
        return None
    if big:
        return "Settings for a GPU, those of ins-stylize-big; ins-stylize-small has those for a CPU."
    return "Settings for a CPU, those of ins-stylize-small."


class InsStylizeTrainer(Trainer):
    """Runs `content_steps` + `style_steps` steps, whatever step it starts from."""

    pipeline: InsStylizePipeline  # type: ignore[assignment]

    def setup(self, test_mode: Any = "val") -> None:
        """The host's set-up, then what depends on the stages."""
        # Adam's averages of gradients that stay zero sink into denormal numbers, which are slow to compute with.
        torch.set_flush_denormal(True)
        keep_places(self.config.pipeline, self.base_dir)
        said = which_settings(self.config.method_name or "", torch.cuda.is_available(), self.config.machine.device_type)
        if said:
            CONSOLE.print(said, soft_wrap=True)
        try:
            super().setup(test_mode)
        except (ValueError, FileNotFoundError):
            remove_unbegun(self.base_dir)
            raise
        self.pipeline.datamanager.save_scene(self.base_dir.absolute() / SCENE_FILE)
        # Content settings can come from a content checkpoint: what was built is what is saved.
        self.config.save_config()
        pipeline = self.pipeline
        self.total_steps = pipeline.content_steps + pipeline.style_steps
        # The host counts steps from where it resumes.
        self.config.max_num_iterations = max(self.total_steps - self._start_step, 0)
        self.progress = StageProgress(pipeline.content_steps, pipeline.style_steps)
        pipeline.while_keeping = self._while_keeping

    def setup_optimizers(self) -> Any:
        """Tells the schedules where the stages begin."""
        for group in self.config.optimizers.values():
            schedule = cast(StageScheduleConfig, group["scheduler"])
            schedule.content_steps = self.pipeline.content_steps
            schedule.style_steps = self.pipeline.style_steps
            if schedule.stage == "content":
                schedule.style_stage_mult = self.pipeline.config.content_style_mult
        return super().setup_optimizers()

    def train(self) -> None:
        """Trains what is left; a finished run says so and is not saved again."""
        if self.config.max_num_iterations == 0:
            CONSOLE.print(f"Nothing left to do: all {self.total_steps} steps are done.")
            return
        try:
            super().train()
        except KeyboardInterrupt:  # the host would show where it was, line by line
            CONSOLE.print(self._where_it_stopped(), soft_wrap=True)
            raise SystemExit(130) from None
        finally:
            self.progress.stop()

    def _where_it_stopped(self) -> str:
        saved = max(self.checkpoint_dir.glob("step-*.ckpt"), default=None)
        if saved is None:
            every = self.config.steps_per_save
            return f"Stopped before anything was saved (--steps-per-save {every}): it has to be begun anew."
        step = int(saved.stem.removeprefix("step-")) + 1
        return (
            f"Stopped. The same command with --load-dir {self.checkpoint_dir} goes on at step {step} of {self.total_steps}."
        )

    def train_iteration(self, step: int) -> Any:
        """One step, with its progress."""
        result = super().train_iteration(step)
        self.progress.update(step, result[1], result[2])
        return result

    def _while_keeping(self, done: int, total: int) -> None:
        """Samples are kept in the middle of a step: pages would stand still all the while."""
        self.progress.keep(done, total)
        if not self.train_lock.locked():  # a step that somebody asks for by itself: there are no pages
            return
        self.train_lock.release()
        try:
            self._update_viewer_state(self.step)
        finally:
            self.train_lock.acquire()

    def _update_viewer_state(self, step: int) -> None:
        """As the host's, with a line on where training is."""
        if isinstance(self.viewer_state, ScenePage):
            self.viewer_state.say(self.progress.line, self.progress.share)
        super()._update_viewer_state(step)

    def _after_train(self) -> None:
        self.progress.stop()
        # First of all: whatever the pictures below run into, the training is not lost.
        self.save_checkpoint(self.step)
        with self.train_lock:  # pages ask the same model
            self.pipeline.eval()
            write_rgb(self.base_dir / "preview.png", preview(self.pipeline))
        self._write_record()
        super()._after_train()
        config = self.base_dir / "config.yml"
        CONSOLE.print("Look at it:     ", self.base_dir / "preview.png", soft_wrap=True)
        CONSOLE.print(
            f"Fly through it: ns-render interpolate --load-config {config} --output-path flythrough.mp4", soft_wrap=True
        )
        CONSOLE.print(f"Walk around:    ns-viewer --load-config {config}", soft_wrap=True)
        CONSOLE.print(f"Another style:  --pipeline.content-checkpoint {self.base_dir / FILE_NAME}", soft_wrap=True)

    def _write_record(self) -> None:
        """What the result depends on and what it cost, in `run.json`."""
        stage = self.pipeline.style_stage
        record = run_record(
            method=self.config.method_name,
            seed=self.config.machine.seed,
            device=str(self.device),
            perceptual_encoder=None if stage is None else stage.objective.features.source,
            loss_normalisers=None if stage is None else self._loss_normalisers(),
            styles=list(self.pipeline.config.model.styles),
            steps=self.progress.lengths,
            peak_memory_mb=peak_memory_mb(),
            seconds=self.progress.seconds,
        )
        (self.base_dir / "run.json").write_text(json.dumps(record, indent=1))

    def _loss_normalisers(self) -> dict[str, dict[str, float]]:
        """By style and loss: what the losses were divided by."""
        objective, rows = self.pipeline.objective, self.pipeline.model.loss_normalisers.tolist()
        return {
            style.name: dict(zip(objective.terms, row, strict=True))
            for style, row in zip(objective.styles, rows, strict=True)
        }

    def _judged_by(self) -> dict[str, str]:
        """What a resumed run must have the same of."""
        return {**self.pipeline.objective.judged_by, "colors": self.pipeline.config.model.colors}

    # ---- checkpoints

    def save_checkpoint(self, step: int) -> None:
        """As the host's, but whole or not at all, and with the state of every random choice."""
        path = self.checkpoint_dir / f"step-{step:09d}.ckpt"
        if step == self.total_steps - 1 and self.pipeline.style_stage is not None:
            self.pipeline.style_stage.end()
        self._refuse_spoiled_state(step)
        contents = {
            "step": step,
            "pipeline": self.pipeline.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, scheduler in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
            "random": self._random_state(),
            "styles": list(self.pipeline.style.names),
            "judged_by": self._judged_by(),
            "total_steps": self.total_steps,
        }
        # Not beside its name: the host takes every name in that folder for a checkpoint.
        replace_file(path, lambda aside: torch.save(contents, aside), scratch=self.base_dir)
        if self.config.save_only_latest_checkpoint:
            for other in self.checkpoint_dir.glob("*.ckpt"):
                if other != path:
                    other.unlink()

    def _refuse_spoiled_state(self, step: int) -> None:
        """A gradient can be NaN under a finite loss: what it spoils must not replace a good checkpoint."""
        for name, value in self.pipeline.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise FloatingPointError(
                    f"{name} is not finite after step {step}; nothing was saved, and a checkpoint saved before is good: "
                    "resume from it with --load-dir and lower the learning rate of the stage."
                )

    def _random_state(self) -> dict[str, Any]:
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "pixels": self.pipeline.datamanager.generator.get_state(),
            "sampler": self.pipeline.model.ray_content.random_state(),
        }

    def _load_checkpoint(self) -> None:
        given = self._named_checkpoint()
        saved = {} if given is None or not given.is_file() else torch.load(given, map_location="cpu", weights_only=True)
        if given is not None and saved:
            self._check_resumable(given, saved)
        super()._load_checkpoint()
        if given is None:
            return
        mix, here = given.parent.parent / MIX_FILE_NAME, self.base_dir / MIX_FILE_NAME
        if mix.is_file() and not here.exists():
            shutil.copy(mix, here)
            self.pipeline.style.take_saved(here)
        content = given.parent.parent / FILE_NAME
        if content.is_file() and content.parent != self.base_dir:
            replace_file(self.base_dir / FILE_NAME, lambda aside: shutil.copyfile(content, aside))
        self._take_rates_from_config()
        state = saved.get("random")
        if state is None:
            return
        torch.set_rng_state(state["torch"])
        for device, of_device in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
            torch.cuda.set_rng_state(of_device, device)  # the machine before may have had more of them, or none
        self.pipeline.datamanager.generator.set_state(state["pixels"])
        self.pipeline.model.ray_content.take_random_state(state["sampler"])

    def _named_checkpoint(self) -> Path | None:
        """The file that the host is about to load, where there is one."""
        if self.config.load_dir is None:
            return self.config.load_checkpoint
        name = f"step-{self.config.load_step:09d}.ckpt" if self.config.load_step is not None else "step-*.ckpt"
        return max(self.config.load_dir.glob(name), default=None)

    def _check_resumable(self, path: Path, saved: dict[str, Any]) -> None:
        """A resumed run must have the styles of before, and look at pictures as its losses were normalised."""
        names, here = saved.get("styles"), list(self.pipeline.style.names)
        if names is not None and names != here:
            raise ValueError(
                f"pipeline.model.styles: {path} was made with {', '.join(names)}, not {', '.join(here)}; resume it with the "
                "same pictures in the same order. A style is added with --pipeline.style-checkpoint."
            )
        before = saved.get("judged_by")
        if before is None or not bool(saved["pipeline"]["_model.is_stylized"]):
            return  # its style stage has not begun, or it is a run of before 0.3, which said nothing of this
        for name, now in self._judged_by().items():
            then = before.get(name, now)  # what a later version compares with besides was as it is
            if then != now:
                raise ValueError(
                    f"pipeline.model.{name}: this run's losses were normalised with {then!r}, and now it is "
                    f"{now!r}; resume it with the settings in its config.yml and the same weights."
                )

    def _take_rates_from_config(self) -> None:
        """Loaded optimizers bring their old learning rates; what the command line says now is what counts."""
        for name, scheduler in self.optimizers.schedulers.items():
            rate = self.config.optimizers[name]["optimizer"].lr
            scheduler.base_lrs = [rate] * len(scheduler.base_lrs)
            for group in self.optimizers.optimizers[name].param_groups:
                group["initial_lr"] = rate
                group["lr"] = rate * scheduler.lr_lambdas[0](scheduler.last_epoch)
