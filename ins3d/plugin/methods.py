"""The methods that `ns-train` lists. Every `ns-*` command imports this file: it stays light, and must not fail."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.plugins.types import MethodSpecification

from ins3d.plugin.datamanager import InsStylizeDataManagerConfig
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.model import InsStylizeModelConfig
from ins3d.plugin.pipeline import InsStylizePipelineConfig
from ins3d.plugin.pixel_sampler import PatchSettings
from ins3d.plugin.ray_content import FrequencySettings, GridSettings
from ins3d.plugin.saved_runs import check_process
from ins3d.plugin.schedule import FusedAdamConfig, StageScheduleConfig
from ins3d.plugin.style_field import FrequencyStyle, HashStyle
from ins3d.plugin.trainer import InsStylizeTrainerConfig

GPU = torch.cuda.is_available()
CPU_PIXELS, GPU_PIXELS = 130_000, 1_000_000
"""Of one picture, at most: what the stages have the time to paint there."""


def _group(rate: float, stage: Literal["content", "style"], final: float) -> dict[str, Any]:
    return {
        "optimizer": FusedAdamConfig(lr=rate, eps=1e-15),
        "scheduler": StageScheduleConfig(stage=stage, final=final),
    }


def _optimizers() -> dict[str, Any]:
    return {
        "content_tables": _group(0.02, "content", final=0.1),
        "content": _group(0.01, "content", final=0.1),
        "proposals": _group(0.02, "content", final=0.1),
        "style_planes": _group(0.025, "style", final=0.1),
        "style": _group(3e-3, "style", final=0.1),
        "gates": _group(0.01, "style", final=0.1),
    }


def _trainer(name: str, pipeline: InsStylizePipelineConfig, optimizers: dict[str, Any]) -> InsStylizeTrainerConfig:
    pipeline.model.eval_num_rays_per_chunk = 32_768 if GPU else 8192
    return InsStylizeTrainerConfig(
        method_name=name,
        pipeline=pipeline,
        optimizers=optimizers,
        machine=MachineConfig(device_type="cuda" if GPU else "cpu"),
        # Our own progress says more than the host's table.
        logging=LoggingConfig(steps_per_log=20, local_writer=LocalWriterConfig(enable=False)),
        viewer=ViewerConfig(num_rays_per_chunk=8192, quit_on_train_completion=True),
        vis="viewer+tensorboard",
        steps_per_save=500,
        steps_per_eval_batch=0,
        steps_per_eval_image=0,
        steps_per_eval_all_images=0,
        max_num_iterations=2250,
        mixed_precision=False,
    )


def _pipeline(
    num_rays: int = 1024, pixels: int = GPU_PIXELS if GPU else CPU_PIXELS, **settings: Any
) -> InsStylizePipelineConfig:
    data = InsStylizeDataManagerConfig(train_num_rays_per_batch=num_rays, pixels=pixels)
    return InsStylizePipelineConfig(datamanager=data, **settings)


def small(name: str) -> InsStylizeTrainerConfig:
    """What two CPU cores paint in minutes."""
    return _trainer(name, _pipeline(pixels=CPU_PIXELS), _optimizers())


def big(name: str) -> InsStylizeTrainerConfig:
    """What a GPU paints in minutes: seven times the pixels, cells as fine as they are, and steps to fill them."""
    model = InsStylizeModelConfig(
        content=GridSettings(
            resolutions=(32, 64, 128, 256, 512, 1024, 2048), log2_size=19, num_proposal_samples=(96,), num_samples=48
        ),
        style_field=HashStyle(resolutions=(128, 256, 512, 1024), log2_size=20),
    )
    pipeline = _pipeline(
        4096,
        GPU_PIXELS,
        model=model,
        content_steps=10_000,
        style_steps=2000,
        patches=PatchSettings(size=256, max_rays=1_500_000),
    )
    return _trainer(name, pipeline, _optimizers())


by_device: Callable[[str], InsStylizeTrainerConfig] = big if GPU else small


def _hash() -> InsStylizeTrainerConfig:
    return _trainer("ins-stylize-hash", _pipeline(model=InsStylizeModelConfig(content=HashSettings())), _optimizers())


def _paper() -> InsStylizeTrainerConfig:
    """The released recipe for one style (spec A.2 to A.8): everything shaded, everything trained, raw losses."""
    model = InsStylizeModelConfig(
        content=FrequencySettings(),
        style_field=FrequencyStyle(),
        geometry="distilled",
        shading="full",
        footprint_mult=0.0,
        perceptual_encoder="vgg16",
        style_loss=("gram_chw:1e11",),
        style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        colors="none",
        normalise_losses=False,
        squash_patches=True,
        over_style_mean=False,
        content_weight=1.0,
        content_layers=("relu2_2",),
        geometry_weight=1e6,
        interlevel_loss_mult=0.0,
        distortion_loss_mult=0.0,
        view_dropout=0.0,
        partial_share=0.0,
        blend_share=0.0,
        perceptual_pooling="max",
    )
    pipeline = _pipeline(
        model=model,
        content_steps=170_000,
        style_steps=130_000,
        # A tenth of the style's rate (INS declares 0.1 and does not use it).
        content_style_mult=0.1 * 0.1 ** (170 / 250),
        patches=PatchSettings(size=72, strides=(2,), rule="squares"),
    )
    rate = 5e-4
    groups = {name: "content" for name in ("content", "proposals")} | {name: "style" for name in ("style", "gates")}
    # 0.1 ** (step / 250000), counted in each stage.
    finals = {"content": 0.1 ** (170 / 250), "style": 0.1 ** (130 / 250)}
    # The release's rate goes on falling from one stage to the next.
    rates = {"content": rate, "style": rate * finals["content"]}
    optimizers = {name: _group(rates[stage], stage, final=finals[stage]) for name, stage in groups.items()}  # type: ignore[arg-type]
    return _trainer("ins-stylize-paper", pipeline, optimizers)


ins_stylize = MethodSpecification(
    by_device("ins-stylize"),
    description="Paints a scene in the style of a picture, on a GPU or a CPU (ins3d).",
)
ins_stylize_small = MethodSpecification(
    small("ins-stylize-small"), description="ins-stylize with the settings for a CPU, on any machine (ins3d)."
)
ins_stylize_big = MethodSpecification(
    big("ins-stylize-big"), description="ins-stylize with the settings for a GPU, on any machine (ins3d)."
)
ins_stylize_hash = MethodSpecification(_hash(), description="ins-stylize on nerfacto's hash field (ins3d).")
ins_stylize_paper = MethodSpecification(
    _paper(), description="Unified Implicit Neural Stylization as published: 8x256 networks, the release's losses (ins3d)."
)
METHODS = (ins_stylize, ins_stylize_small, ins_stylize_big, ins_stylize_hash, ins_stylize_paper)
check_process(tuple(str(each.config.method_name) for each in METHODS))
