"""A nerfstudio scene becomes rays and what they should see: single pixels for the content, patches for the style."""

import json
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.dataparser_configs import AnnotatedDataParserUnion
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.pixel_samplers import PixelSamplerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from ins3d.extension.ranges import ranged
from ins3d.plugin.rays.picture_pyramid import PicturePyramid
from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.plugin.rays.pixel_rays import PixelRays
from ins3d.plugin.rays.scene_pictures import ScenePictures, reduced_cameras, working_size

FEWEST_PICTURES = 3


@dataclass
class InsStylizeDataManagerConfig(VanillaDataManagerConfig):
    """Where the pictures come from and how many rays a content step asks for."""

    _target: type = field(default_factory=lambda: InsStylizeDataManager)
    dataparser: AnnotatedDataParserUnion = field(default_factory=NerfstudioDataParserConfig)
    """Which kind of data; give `nerfstudio-data`, `blender-data`, ... after all other options."""
    size: int | None = ranged(None, min=0)
    """Long side, in pixels, at which pictures are worked on: they are reduced while they are read. By default as many as
    the stages have time for: 130,000 pixels a picture on a CPU, a million on a GPU, or what `--downscale-factor` says.
    0: as they are. Whatever it is, renders can have any size."""
    seed: int = 42
    """Seed of every random choice of pixels and patches."""


class InsStylizeDataManager(VanillaDataManager[InputDataset]):
    """The host's data manager with an 8-bit picture store, alpha kept, and missing pictures skipped."""

    config: InsStylizeDataManagerConfig

    def __init__(self, config: InsStylizeDataManagerConfig, *args: Any, **kwargs: Any) -> None:
        data = config.data or config.dataparser.data
        if isinstance(config.dataparser, NerfstudioDataParserConfig):
            config.dataparser.data = Path(data)
            _check_nerfstudio_folder(config.dataparser)
        self.background = torch.ones(3)
        """What shows through where pictures are transparent, in [0, 1]."""
        super().__init__(config, *args, **kwargs)
        self.generator = torch.Generator().manual_seed(config.seed)

    def create_train_dataset(self) -> InputDataset:
        """The host would composite transparent pictures here; content is learned better with their alpha."""
        outputs = copy(self._existing(self.train_dataparser_outputs, "training", FEWEST_PICTURES))
        if outputs.alpha_color is not None:
            self.background = outputs.alpha_color.float()
        outputs.alpha_color = None
        self.train_dataparser_outputs = outputs
        self.share = self._working_share(outputs.cameras)
        return ScenePictures(outputs, self.share)

    def _working_share(self, cameras: Cameras) -> float:
        """How large pictures are worked on beside those that are read; the setting then says which size that is."""
        config = self.config
        largest = int(torch.cat([cameras.height, cameras.width]).max())
        if config.camera_res_scale_factor != 1:
            config.size = int(largest * config.camera_res_scale_factor)
            config.camera_res_scale_factor = 1.0
        elif config.size is None and getattr(config.dataparser, "downscale_factor", None) is not None:
            config.size = 0
        elif config.size is None:
            config.size = working_size(cameras, torch.device(self.device).type)
        if config.size == 0 or config.size >= largest:
            return 1.0
        share = (config.size + 1e-6) / largest
        if self.test_mode == "val":
            after = reduced_cameras(cameras[:1], share)
            CONSOLE.print(
                f"{len(cameras)} pictures of {_extent(cameras)}, worked on at {_extent(after)}; "
                "--pipeline.datamanager.size changes it.", soft_wrap=True
            )  # fmt: skip
        return share

    def create_eval_dataset(self) -> InputDataset:
        """The held-out pictures that exist."""
        outputs = self.dataparser.get_dataparser_outputs(split=self.test_split)
        outputs = self._existing(outputs, "held-out", fewest=1)
        return ScenePictures(outputs, self.share)

    def _existing(self, outputs: DataparserOutputs, split: str, fewest: int) -> DataparserOutputs:
        """For rendering along a path the host opens no picture (and names the full-size ones): none need be there."""
        return outputs if self.test_mode == "inference" else _without_missing(outputs, split, fewest)

    def setup_train(self) -> None:
        """Reads all training pictures once; evaluation and viewer need none of them."""
        if self.test_mode == "val":
            self.store = PictureStore.of(self.train_dataset, torch.device(self.device))
        else:
            # `ns-export` draws rays, and sets here how many.
            self.train_pixel_sampler = PixelSamplerConfig().setup(num_rays_per_batch=self.get_train_rays_per_batch())

    @cached_property
    def train_ray_generator(self) -> PixelRays:
        """Made when it is first asked for: viewer and flythroughs need none, and it looks at every pixel of a lens."""
        return PixelRays(self.train_dataset.cameras.to(self.device))

    @cached_property
    def pyramid(self) -> PicturePyramid:
        """The training pictures reduced, and their rays."""
        return PicturePyramid(self.store, self.train_ray_generator)

    def next_train(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Random rays of the content stage: `image` is RGB or RGB and alpha, `indices` camera, row, column.

        Of a finished run, for `ns-export`: rays alone.
        """
        self.train_count += 1
        if self.test_mode != "val":
            assert self.train_pixel_sampler is not None
            return self.train_ray_generator(self._any_pixels(self.train_pixel_sampler.num_rays_per_batch)), {}
        indices = self.store.draw_pixels(self.config.train_num_rays_per_batch, self.generator)
        return self.train_ray_generator(indices), {"image": self.store.colors(indices), "indices": indices}

    def _any_pixels(self, number: int) -> Int[Tensor, "{number} 3"]:
        """Pixels of the training cameras, uniformly by camera and place; no picture is looked at."""
        cameras = self.train_dataset.cameras
        camera = torch.randint(len(cameras), (number,), generator=self.generator)
        places = torch.rand(number, 2, generator=self.generator)
        sizes = torch.cat([cameras.height, cameras.width], dim=-1).cpu()[camera]
        return torch.cat([camera[:, None], (places * sizes).long()], dim=-1).to(self.device)

    def get_train_rays_per_batch(self) -> int:
        """The content stage's rays per step."""
        return self.config.train_num_rays_per_batch


def _extent(cameras: Cameras) -> str:
    return f"{int(cameras.width[0])}x{int(cameras.height[0])}"


def _check_nerfstudio_folder(dataparser: NerfstudioDataParserConfig) -> None:
    """The host's own complaint would be a KeyError or an assertion deep inside."""
    data = dataparser.data
    file = data if data.suffix == ".json" else data / "transforms.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"data: {file} does not exist; give a folder that ns-process-data made, or name the kind of data after all "
            "other options (blender-data, ...)."
        )
    try:
        frames = json.loads(file.read_text())["frames"]
        paths = [Path(frame["file_path"]) for frame in frames]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"data: {file} is not a nerfstudio transforms file ({error!r}); run ns-process-data again."
        ) from error
    if len(frames) < FEWEST_PICTURES:
        raise ValueError(f"data: {file} lists {len(frames)} pictures; at least {FEWEST_PICTURES} are needed.")
    there = [path for path in paths if (file.parent / path).is_file()]
    if dataparser.downscale_factor is None and there and there[0] != paths[0]:
        # The host opens the first picture to choose a size, and stops when it is gone: let it look at another.
        host = dataparser.setup()
        host._get_fname(there[0], file.parent)
        dataparser.downscale_factor = host.downscale_factor


def _without_missing(outputs: DataparserOutputs, split: str, fewest: int) -> DataparserOutputs:
    """Skips pictures whose files are gone, says how many, and refuses when too few are left."""
    there = [index for index, path in enumerate(outputs.image_filenames) if Path(path).is_file()]
    missing = len(outputs.image_filenames) - len(there)
    if missing == 0:
        return outputs
    gone = next(path for path in outputs.image_filenames if not Path(path).is_file())
    if len(there) < fewest:
        raise ValueError(
            f"data: {missing} of {len(outputs.image_filenames)} {split} pictures are missing (the first is {gone}), "
            f"{len(there)} are left; at least {fewest} are needed: restore them or process the scene again."
        )
    CONSOLE.print(f"[yellow]Skipped {missing} {split} pictures whose files are missing (the first is {gone}).")
    outputs = copy(outputs)
    outputs.image_filenames = [outputs.image_filenames[index] for index in there]
    if outputs.mask_filenames is not None:
        outputs.mask_filenames = [outputs.mask_filenames[index] for index in there]
    outputs.cameras = outputs.cameras[torch.tensor(there)]
    return outputs
