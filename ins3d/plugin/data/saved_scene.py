"""The cameras of a scene, kept beside a run: without its photographs it can still be rendered and walked through."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox

from ins3d.files.whole import replace_file

LENS = ("fx", "fy", "cx", "cy", "width", "height", "camera_type", "distortion_params")


def save_scene(path: Path, train: DataparserOutputs, held: DataparserOutputs, background: torch.Tensor | None) -> None:
    """Writes cameras and names of pictures; `background` is what transparent ones are laid over, if anything."""
    contents = {"background": background, "train": _told(train), "held": _told(held)}
    replace_file(path, lambda aside: torch.save(contents, aside))


def _told(outputs: DataparserOutputs) -> dict[str, Any]:
    cameras = outputs.cameras.to("cpu")
    lens = {name: getattr(cameras, name) for name in LENS}
    return {
        "names": [str(path) for path in outputs.image_filenames],
        "poses": cameras.camera_to_worlds,
        "lens": {name: None if values is None else values.clone() for name, values in lens.items()},
        "scale": float(outputs.dataparser_scale),
        "transform": outputs.dataparser_transform,
        "box": outputs.scene_box.aabb,
    }


@dataclass
class SavedSceneConfig(DataParserConfig):
    """Where the scene was saved."""

    _target: type = field(default_factory=lambda: SavedScene)
    file: Path = Path()


class SavedScene(DataParser):
    """What was saved, as the host's parsers tell it; `val` and `test` are one."""

    def __init__(self, config: SavedSceneConfig) -> None:
        super().__init__(config)
        self.saved = torch.load(config.file, map_location="cpu", weights_only=True)

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        told = self.saved["train" if split == "train" else "held"]
        return DataparserOutputs(
            [Path(name) for name in told["names"]],
            Cameras(told["poses"], **told["lens"]),
            alpha_color=self.saved["background"],
            scene_box=SceneBox(told["box"]),
            dataparser_scale=told["scale"],
            dataparser_transform=told["transform"],
        )
