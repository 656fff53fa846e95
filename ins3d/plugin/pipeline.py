"""Two stages in one run: the content field on random rays, then the style on strided patches."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from ins3d.extension.ranges import check_ranges, ranged
from ins3d.placement.scene import Placement
from ins3d.plugin.content_checkpoint import (
    FILE_NAME,
    ContentCheckpoint,
    explain_mismatch,
    load_content,
    load_finished,
    save_content,
)
from ins3d.plugin.contents.splat_content import NO_FILE, SplatSettings
from ins3d.plugin.contents.splat_files import SplatCheckpoint
from ins3d.plugin.data.scene_measure import has_empty_background, measure_placement, small_pictures
from ins3d.plugin.datamanager import InsStylizeDataManager, InsStylizeDataManagerConfig
from ins3d.plugin.host_fixes import mend_the_films, mend_the_host, mend_the_viewer
from ins3d.plugin.memory import refuse_large_networks
from ins3d.plugin.model import PREFIX, InsStylizeModel, InsStylizeModelConfig
from ins3d.plugin.pixel_sampler import PatchSettings, WindowSampler
from ins3d.plugin.rays.generalisation import (
    FIRST_STEPS,
    WORTH_IT,
    SeenPictures,
    blurred_mean,
    generalisation,
    likeness,
)
from ins3d.plugin.rays.look import Merging
from ins3d.plugin.rays.picture_store import over_background
from ins3d.plugin.saved_runs import upgrade, upgrade_state
from ins3d.plugin.settings import check_model
from ins3d.plugin.style_checkpoint import StyleCheckpoint, load_kept_styles, load_styles, take_over_settings
from ins3d.plugin.style_stage import SceneSubject
from ins3d.plugin.viewer.controls import StyleControls
from ins3d.plugin.viewer.page import ScenePage
from ins3d.plugin.viewer.splats import SplatArrays
from ins3d.style.mix import FILE_NAME as MIX_FILE_NAME
from ins3d.style.objective import StyleObjective
from ins3d.style.sampling import MixSampler, steps_for
from ins3d.style.sizes import steps_of_a_content, steps_of_a_style
from ins3d.style.stage import StyleStage
from ins3d.style.stroke_sizes import at_stroke_sizes
from ins3d.style.styles import Style, check_styles, find_styles
from ins3d.style.targets import refuse_small

LEAST_SEEN = 0.01
"""Mean accumulation of the training pixels, below which splats are not of this scene."""


@dataclass
class InsStylizePipelineConfig(VanillaPipelineConfig):
    """How long each stage lasts, and what the style stage draws its patches from."""

    _target: type = field(default_factory=lambda: InsStylizePipeline)
    datamanager: InsStylizeDataManagerConfig = field(default_factory=InsStylizeDataManagerConfig)
    model: InsStylizeModelConfig = field(default_factory=InsStylizeModelConfig)
    content_steps: int | None = ranged(None, min=0)
    """Steps of the content stage. Not given: 1850, and more for pictures of more than 130,000 pixels: 4480 at 1008x756."""
    style_steps: int | None = ranged(None, min=0)
    """Steps of the style stage for one style; every further style adds 45 % of them. Not given: as many as the pictures'
    size asks for, 400 at 135x240 pixels, 610 at 270x480, 1750 at 1008x756."""
    content_checkpoint: Path | None = None
    """A finished content: content.ckpt or config.yml of an earlier run, the config.yml of `ns-train nerfacto` or `ns-train
    splatfacto`, or a .ply of Gaussian splats of this scene. The content stage is skipped."""
    style_checkpoint: Path | None = None
    """A finished run of the same scene (its folder): its styles are kept to the last bit, and those of
    pipeline.model.styles are added. The content is that run's."""
    content_style_mult: float = ranged(0.0, min=0)
    """Learning rate of the content in the style stage, as a share of its own (INS meant 0.1). 0: frozen."""
    patches: PatchSettings = field(default_factory=PatchSettings)
    """What a step of the style stage sees."""
    run_dir: tyro.conf.Suppress[Path | None] = None
    """Where files of this run go; set by the trainer, for whoever opens the run later."""


class InsStylizePipeline(VanillaPipeline):
    """Decides which stage a step belongs to, and hands over between them."""

    config: InsStylizePipelineConfig
    datamanager: InsStylizeDataManager
    viewer = ScenePage
    """What shows it in a browser; see `mend_the_viewer`."""

    def __init__(self, config: InsStylizePipelineConfig, device: Any, test_mode: Any = "val", **kwargs: Any) -> None:
        mend_the_host()
        mend_the_viewer()
        mend_the_films(lambda: self.datamanager.train_dataset.cameras)
        upgrade(config)
        _check_settings(config)
        self._kept: StyleCheckpoint | None = None
        if test_mode == "val":
            # Absolute, because evaluation may be started from another folder.
            config.model.styles = tuple(map(str, _styles(config.model)))
            if config.style_checkpoint is not None:
                self._kept = load_styles(config.style_checkpoint)
                take_over_settings(config.model, self._kept)
                config.content_checkpoint = self._kept.content
                _check_settings(config)
        if config.model.perceptual_weights is not None:
            config.model.perceptual_weights = Path(config.model.perceptual_weights).absolute()
        self._checkpoint: ContentCheckpoint | SplatCheckpoint | None = None
        if config.content_checkpoint is not None and test_mode == "val":
            self._checkpoint = load_finished(config.content_checkpoint)
            # The field must be built as it was; the settings are saved with this run.
            config.model.content = self._checkpoint.settings
        if test_mode == "val":
            refuse_large_networks(config.model, torch.device(device))
        super().__init__(config, device, test_mode, **kwargs)
        self.style_stage: StyleStage[Any] | None = None
        self.subject: SceneSubject | None = None
        self.while_keeping: Callable[[int, int], None] = lambda done, total: None
        """Told how many samples are kept, between looks at more of them; set by the trainer."""
        # Keyframes of a camera path get a time, which walks along the styles.
        self.datamanager.includes_time = len(config.model.styles) > 1
        if config.run_dir is not None:
            self.style.take_saved(config.run_dir / MIX_FILE_NAME)
        if test_mode == "val":
            if self.content_steps > 0:
                _ = self.model.learnable_content  # refused now where it cannot be learned
            # Now, and not at the boundary: a mistyped style must not cost the content stage.
            self.model.colors.see_scene(self.datamanager.store.color_statistics(self.datamanager.config.seed))
            self.objective = self.model.build_objective()
            CONSOLE.print(f"Perceptual encoder: {self.objective.features.source}.")
            if self.datamanager.nothing_held_out and self.content_steps >= WORTH_IT * FIRST_STEPS:
                self.datamanager.left_out_steps = FIRST_STEPS
            self.sampler = self._patch_sampler()
            self._prepare_content()

    def kept_splats(self) -> Callable[[Tensor], SplatArrays] | None:
        """See `field_splats.kept_splats`; of a run without a folder there are none."""
        from ins3d.plugin.field_splats import kept_splats  # every ns-* command imports this file

        return None if self.config.run_dir is None else kept_splats(self.model, self.config.run_dir)

    @property
    def model(self) -> InsStylizeModel:
        """The model."""
        return self._model  # type: ignore[return-value]

    @property
    def style(self) -> StyleControls:
        """The viewer's controls."""
        return self.model.controls

    @property
    def num_new_styles(self) -> int:
        """Styles that this run learns."""
        return len(self.config.model.styles) - (0 if self._kept is None else len(self._kept.styles))

    @property
    def style_steps(self) -> int:
        """Steps of the style stage for all styles together."""
        steps = self.config.style_steps
        return steps_for(steps_of_a_style(self._pixels) if steps is None else steps, self.num_new_styles)

    @property
    def content_steps(self) -> int:
        """Steps of the content stage; none when the content is finished."""
        if self.config.content_checkpoint is not None:
            return 0
        return steps_of_a_content(self._pixels) if self.config.content_steps is None else self.config.content_steps

    @property
    def _pixels(self) -> int:
        """Of the largest training picture."""
        cameras = self.datamanager.train_dataset.cameras
        return int((cameras.height * cameras.width).max())

    def _patch_sampler(self) -> WindowSampler:
        cameras, settings = self.datamanager.train_dataset.cameras, self.config.patches
        sampler = WindowSampler(settings, self.datamanager.pyramid, cameras, self.style_steps)
        if not self.config.model.squash_patches:
            _refuse_small_patches(sampler, self.objective)
        return sampler

    def _prepare_content(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.give_to(self.model.ray_content, self.datamanager.train_dataparser_outputs)
            self.model.background.copy_(self.datamanager.background)
            CONSOLE.print(f"Content from {self._checkpoint.source}: the content stage is skipped.", soft_wrap=True)
            if not self._checkpoint.is_placed:
                self._place_content()
                self._compare_with_photographs(self._checkpoint.source)
            self._checkpoint = None
            if self._kept is not None:
                load_kept_styles(self.model, self._kept)
                self.model.stylized.keep_styles(len(self._kept.styles))
            return
        self._place_content()

    def _place_content(self) -> None:
        placement = self._placement()
        self.model.ray_content.place(placement, self.datamanager.background)
        kind = "an object before an empty background" if placement.bounded else "an open scene"
        CONSOLE.print(
            f"Placed by {placement.found_by}: {kind}, radius {placement.radius:.3g}, "
            f"depths {placement.near:.3g} to {placement.far:.3g}."
        )

    def _compare_with_photographs(self, source: str) -> None:
        """Of what somebody made elsewhere it is not known whether it is this scene. ValueError where nothing of it shows."""
        content, data, accumulations = self.model.ray_content.eval(), self.datamanager, []

        def render(rays: RayBundle) -> Tensor:
            look = content.look(rays, Merging(1))
            accumulations.append(look.accumulation)
            return look.rgb

        generator, background = torch.Generator().manual_seed(data.config.seed), self.model.background
        pictures = SeenPictures(data.store, data.train_ray_generator)
        blurred = blurred_mean(data.store, background, generator)
        found, guessed = likeness(pictures, render, background, blurred, generator)
        if float(torch.cat(accumulations).mean()) < LEAST_SEEN:
            raise ValueError(
                f"pipeline.content-checkpoint: none of the training pictures shows a splat of {source}; give splats of this "
                "scene, in the coordinates of its cameras, that are not transparent."
            )
        CONSOLE.print(f"The splats show the photographs at {found:.1f} dB.")
        if found < guessed:
            CONSOLE.print(
                f"[bold red]That is no better than a blurred mean of the photographs ({guessed:.1f} dB): are they splats of "
                "this scene, in the coordinates of its cameras?", soft_wrap=True
            )  # fmt: skip

    def _placement(self) -> Placement:
        model = self.config.model
        if None not in (model.near, model.far, model.center, model.radius):
            bounded = has_empty_background(small_pictures(self.datamanager.train_dataset))
            return Placement(model.center, model.radius, model.near, model.far, bounded, "the settings")  # type: ignore[arg-type]
        placement = measure_placement(self.datamanager.train_dataset)
        for name in ("near", "far", "center", "radius"):
            if getattr(model, name) is not None:
                setattr(placement, name, getattr(model, name))
        return placement

    # ---- steps

    def get_train_loss_dict(self, step: int) -> tuple[Any, dict[str, Tensor], dict[str, Any]]:
        """The losses of a step of either stage."""
        if step < self.content_steps:
            result = super().get_train_loss_dict(step)
            self.model.ray_content.step(step)
            if step + 1 == self.datamanager.left_out_steps:
                self._say_if_read_wrongly(self.datamanager.seen_first)
        else:
            if self.style_stage is None:
                self.style_stage = self._begin_style_stage()
            losses = self.style_stage.losses(step - self.content_steps, self.datamanager.generator)
            result = {}, losses, {name: gate.detach() for name, gate in self.model.stylized.named_gates().items()}
        _check_finite(result[1], step)
        return result

    def _begin_style_stage(self) -> StyleStage[Any]:
        """The boundary: content is saved and frozen, styles are read, samples are kept."""
        run_dir = self.config.run_dir
        assert run_dir is not None
        begins = not self.model.has_style
        if begins:
            outputs = self.datamanager.train_dataparser_outputs
            save_content(run_dir / FILE_NAME, self.config.model.content, self.model.ray_content, outputs)
        moves = self.config.content_style_mult > 0
        self.model.begin_style(content_moves=moves)
        if moves:
            # After a resume the content has moved on from where the teacher stands.
            self.model.teacher = self.model.movable_content.frozen_density(load_content(run_dir / FILE_NAME).state)
        CONSOLE.print("Content is frozen; the style stage begins.")
        data = self.datamanager
        if begins and self.content_steps > 0 and not data.nothing_held_out:
            self._say_if_read_wrongly(SeenPictures(data.store, data.train_ray_generator))
        self.subject = SceneSubject(self.model, self.datamanager, self.sampler, self.objective, frozen=not moves)
        self.subject.keep_samples(run_dir, self.while_keeping)
        settings, number = self.config.model, len(self.objective.styles)
        self.objective.normalisers = self.model.loss_normalisers if settings.normalise_losses else None
        mixes = MixSampler(
            number, range(number - self.num_new_styles, number), self.datamanager.config.seed, settings.partial_share,
            settings.blend_share,
        )  # fmt: skip
        stage = StyleStage(self.subject, self.objective, mixes, settings.normalise_losses)
        if begins:
            stage.begin()
        return stage

    def _say_if_read_wrongly(self, learned: SeenPictures) -> None:
        """Looks at pictures that the content has not learned from."""
        model, content = self.model, self.model.ray_content
        was_training = content.training
        content.eval()
        found = generalisation(learned, self.datamanager.unseen(), lambda rays: model.look(rays).rgb, model.background)
        content.train(was_training)
        if found.fails:
            CONSOLE.print(f"[bold red]{found.complaint}", soft_wrap=True)

    def get_eval_loss_dict(self, step: int) -> tuple[Any, dict[str, Tensor], dict[str, Any]]:
        """The photometric error of held-out rays; asked for by `--steps-per-eval-batch` only."""
        self.eval()
        rays, batch = self.datamanager.next_eval(step)
        with torch.no_grad():
            outputs = self.model(rays)
        image = over_background(batch["image"].to(self.model.device), self.model.background)
        self.train()
        return outputs, {"rgb_loss": ((outputs["content_rgb"] - image) ** 2).mean()}, {}

    def get_average_eval_image_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As the host's, but without deviations where one picture has none: they would be NaN, which JSON does not have."""
        found = super().get_average_eval_image_metrics(*args, **kwargs)
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Loads every parameter or says which does not fit; the host would go on with random ones."""
        state = upgrade_state({key.removeprefix("module."): value for key, value in loaded_state.items()})
        if not bool(state.get("_model.is_stylized", False)):
            # Nothing has been measured: before its style stage begins a run may be given other losses.
            state["_model.loss_normalisers"] = self.model.loss_normalisers
        explain_mismatch(self.state_dict(), state, "the checkpoint")
        self.model.update_to_step(step)
        torch.nn.Module.load_state_dict(self, state, strict=True)
        self.model.train(self.model.training)


def _styles(model: InsStylizeModelConfig) -> tuple[Style, ...]:
    """All that are learned: paintings at stroke sizes. Those that were read before, of a run that goes on, are styles."""
    found = find_styles(model.styles, f"{PREFIX}styles")
    sizes, model.stroke_sizes = model.stroke_sizes, ()
    styles = at_stroke_sizes(found, sizes, f"{PREFIX}stroke-sizes")
    check_styles(styles, f"{PREFIX}styles")
    return styles


def _refuse_small_patches(sampler: WindowSampler, objective: StyleObjective) -> None:
    """Where the encoder would see nothing: the pictures, what a stride leaves of them, or the patches are too small."""
    needed = objective.features.smallest_side * max(objective.view.scales)
    for stride in sampler.plan.strides:
        height, width = sampler.plan.patch_at(stride)
        what, remedy = f"patches.size: patches of {width}x{height} rays are", f"use {needed} or more"
        if min(sampler.extent) < needed:
            what = f"datamanager.size: pictures of {sampler.extent[1]}x{sampler.extent[0]} pixels are"
            remedy = "work on larger ones"
        elif stride in sampler.plan.whole:
            what = f"patches.strides: the {width}x{height} rays that stride {stride} leaves of a picture are"
            remedy = f"use strides of {min(sampler.extent) // needed} or less"
        refuse_small(f"pipeline.{what}", min(height, width), objective.features, objective.view.scales, remedy)


def _check_settings(config: InsStylizePipelineConfig) -> None:
    check_ranges(config, "pipeline.")
    check_model(config.model, PREFIX)
    if config.content_style_mult > 0 and config.model.geometry == "locked":
        raise ValueError(
            "pipeline.content-style-mult: locked geometry keeps the content as it is, so its rate must be 0; "
            "or let a content that can move do so with --pipeline.model.geometry distilled."
        )
    if isinstance(config.model.content, SplatSettings) and config.content_checkpoint is None:
        raise ValueError(NO_FILE)
    if config.content_style_mult > 0 and config.style_checkpoint is not None:
        raise ValueError(
            "pipeline.content-style-mult: a content that moves would change the kept styles of pipeline.style-checkpoint; "
            "use 0."
        )


def _check_finite(losses: dict[str, Tensor], step: int) -> None:
    if bool(torch.stack([value.detach() for value in losses.values()]).isfinite().all()):
        return  # asked once: on a GPU each question waits
    for name, value in losses.items():
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"{name} became {float(value)} at step {step}; a checkpoint saved before is good: resume from it "
                "with --load-dir and lower the learning rate of the stage."
            )
