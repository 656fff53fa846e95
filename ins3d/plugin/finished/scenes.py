"""Scenes: paint one, open one that was painted, render it."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils.eval_utils import eval_setup
from torch import Tensor

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.methods import METHODS
from ins3d.plugin.pipeline import InsStylizePipeline
from ins3d.plugin.trainer import InsStylizeTrainerConfig
from ins3d.style.mix import Mix, make_mix


class Scene:
    """A painted scene."""

    def __init__(self, pipeline: InsStylizePipeline, config: Path) -> None:
        self.pipeline, self.config = pipeline, config
        """`config`: the run's config.yml, which `ns-render`, `ns-viewer` and `ins3d film` take."""
        pipeline.eval()

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, in the order of a mix's weights."""
        return self.pipeline.model.controls.names

    @property
    def cameras(self) -> Cameras:
        """Of the held-out photographs."""
        return self.pipeline.datamanager.eval_dataset.cameras

    def render(self, camera: Cameras, mix: Mix | None = None) -> Float[Tensor, "3 height width"]:
        """The picture of one camera (of `cameras`, or any of nerfstudio's) in [0, 1]; without a mix as the run says."""
        controls = self.pipeline.model.controls
        code = controls.code() if mix is None else make_mix(mix.weights, mix.strength, self.styles, "mix").code()
        return render_codes(self.pipeline.model, camera.reshape((-1,))[:1], [code]).rgb[0]


def scene_config(data: str | Path, styles: Sequence[str] = (), method: str = "ins-stylize") -> InsStylizeTrainerConfig:
    """The settings of `ns-train METHOD --data DATA`, to be changed before `paint_scene`; styles as on the command line.

    Raises ValueError for a method that is none of ours.

    >>> config = scene_config("scenes/still_life")
    >>> config.pipeline.model.content_weight
    0.2
    """
    known = {str(each.config.method_name): each.config for each in METHODS}
    if method not in known:
        raise ValueError(f"method: there is no {method!r}; choose among {', '.join(known)}.")
    config: Any = copy.deepcopy(known[method])
    config.data, config.vis = Path(data), "tensorboard"
    if styles:
        config.pipeline.model.styles = tuple(map(str, styles))
    return config


def paint_scene(config: InsStylizeTrainerConfig) -> Scene:
    """Trains content and style as `ns-train` does, with its progress, its files and its checkpoints.

    >>> import tempfile
    >>> config = scene_config("scenes/still_life")
    >>> config.output_dir = Path(tempfile.mkdtemp())
    >>> config.machine.device_type = "cpu"
    >>> config.pipeline.content_steps = config.pipeline.style_steps = 2  # for a picture: leave them as they are
    >>> config.pipeline.datamanager.size, config.pipeline.patches.max_rays = 144, 21_000
    >>> scene = paint_scene(config)  # doctest: +ELLIPSIS
    Mixed precision ...
    >>> scene.render(scene.cameras[0], Mix((1.0,), strength=0.5)).shape
    torch.Size([3, 144, 144])
    """
    torch.manual_seed(config.machine.seed)
    config.set_timestamp()
    if config.data:
        config.pipeline.datamanager.data = config.data
    trainer = config.setup(local_rank=0, world_size=1)
    config.save_config()
    trainer.setup()
    trainer.train()
    return Scene(trainer.pipeline, config.get_base_dir() / "config.yml")


def open_scene(config: str | Path) -> Scene:
    """A finished run, by its config.yml or its folder. Raises FileNotFoundError where there is none."""
    path = Path(config)
    path = path / "config.yml" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"config: {path} does not exist; give the folder of a finished run, or its config.yml.")
    _, pipeline, _, _ = eval_setup(path, test_mode="test")
    assert isinstance(pipeline, InsStylizePipeline)
    return Scene(pipeline, path)
