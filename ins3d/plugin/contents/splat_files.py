"""Reads splats that somebody has, as a finished content: a .ply, or a run of nerfstudio's `splatfacto`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from ins3d.plugin.contents.content import Content
from ins3d.plugin.contents.splat_content import SplatContent, SplatSettings
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.ply import CONSTANT, read_ply

SETTING = "pipeline.content-checkpoint"


@dataclass
class SplatCheckpoint:
    """Splats, and the coordinates they lie in: p there is `scale` * `transform` (p of the dataset)."""

    splats: Gaussians
    scale: float
    transform: Float[Tensor, "3 4"]
    source: str
    is_placed = False
    """It says nothing of where the scene's middle is."""

    @property
    def settings(self) -> SplatSettings:
        """Of a content that has room for these."""
        return SplatSettings(len(self.splats), self.splats.degree)

    def give_to(self, content: Content, outputs: DataparserOutputs) -> None:
        """The splats, where the dataset's parser has put the cameras."""
        assert isinstance(content, SplatContent)
        (turned, moved), (turn, move) = (
            (each[:3, :3].cpu().float(), each[:3, 3].cpu().float())
            for each in (self.transform, outputs.dataparser_transform)
        )
        turn, scale = turn @ turned.T, float(outputs.dataparser_scale)
        content.take(self.splats.mapped(turn, scale * (move - turn @ moved), scale / self.scale))


def read_splats(path: Path) -> SplatCheckpoint:
    """A .ply in the dataset's coordinates, as `ins3d splats export` and the authors of 3DGS write it.

    Raises FileNotFoundError or ValueError.
    """
    splats, notes = read_ply(path, SETTING)
    for note in notes:
        CONSOLE.print(note, soft_wrap=True)
    return SplatCheckpoint(splats, 1.0, torch.eye(4)[:3], str(path))


def read_splatfacto(config_file: Path, config: Any, state: dict[str, Tensor]) -> SplatCheckpoint:
    """A run of `ns-train splatfacto`, from its settings and the state of its pipeline."""
    try:
        told = {name: state[f"_model.gauss_params.{name}"].float() for name in
                ("means", "scales", "quats", "opacities", "features_dc", "features_rest")}  # fmt: skip
    except KeyError as error:
        raise ValueError(
            f"{SETTING}: {config_file} has a checkpoint without {error}; export its splats to a .ply."
        ) from error
    of_degree_0 = told["features_dc"]
    rgb = of_degree_0.sigmoid() if config.pipeline.model.sh_degree == 0 else 0.5 + CONSTANT * of_degree_0
    splats = plain_gaussians(told["means"], told["scales"].exp(), told["quats"], told["opacities"][:, 0].sigmoid(), rgb)
    transforms = yaml.safe_load((config_file.parent / "dataparser_transforms.json").read_text())
    return SplatCheckpoint(
        Gaussians(**{**vars(splats), "harmonics": told["features_rest"]}), float(transforms["scale"]),
        torch.tensor(transforms["transform"])[:3], str(config_file),
    )  # fmt: skip
