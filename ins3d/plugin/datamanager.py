"""A nerfstudio scene becomes rays and what they should see: single pixels for the content, patches for the style."""

from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.dataparser_configs import AnnotatedDataParserUnion
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig, DataparserOutputs
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.pixel_samplers import PixelSamplerConfig
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from nerfstudio.model_components.ray_generators import RayGenerator
from nerfstudio.utils.rich_utils import CONSOLE
from rich.markup import escape
from torch import Tensor
from tyro.conf import Suppress

from ins3d.extension.ranges import ranged
from ins3d.plugin.data.agreement import agreed
from ins3d.plugin.data.opened_run import VARIABLE
from ins3d.plugin.data.parsers import OrderlyNerfstudio, orderly
from ins3d.plugin.data.saved_scene import SavedScene, SavedSceneConfig, save_scene
from ins3d.plugin.data.transforms import FEWEST_PICTURES
from ins3d.plugin.memory import free_memory
from ins3d.plugin.rays.generalisation import SeenPictures, left_out
from ins3d.plugin.rays.picture_pyramid import PicturePyramid
from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.plugin.rays.pixel_rays import PixelRays
from ins3d.plugin.rays.scene_pictures import GonePictures, ScenePictures, reduced_cameras, working_size

BYTES_A_PIXEL = 5
"""Of the training pictures: colour, alpha and mask."""
NOTHING_HELD_OUT = (
    "No picture is held out of so few: those that are learned from stand in for them. To hold some out, add "
    "`nerfstudio-data --eval-mode interval --eval-interval 4` after all other options."
)


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
    pixels: Suppress[int] = 130_000
    """Of one picture, at most, where nothing says its size."""
    seed: int = 42
    """Seed of every random choice of pixels and patches."""
    scene_file: Suppress[Path | None] = None
    """Of a run that is opened: its cameras, for when the data are gone."""


class InsStylizeDataManager(VanillaDataManager[InputDataset]):
    """The host's data manager with an 8-bit picture store, alpha kept, and missing pictures skipped."""

    config: InsStylizeDataManagerConfig
    left_out_steps = 0
    """So many steps at the beginning leave some pictures out, where none is held out; set by the pipeline."""

    def __init__(self, config: InsStylizeDataManagerConfig, *args: Any, **kwargs: Any) -> None:
        given = config.dataparser
        given.data = Path(config.data or given.data)
        self.background = torch.ones(3)
        """What shows through where pictures are transparent, in [0, 1]."""
        # The host builds its parser from the settings, and they are saved with the run: those that were given.
        config.dataparser = cast(AnnotatedDataParserUnion, _parser_settings(config, kwargs.get("test_mode", "val")))
        super().__init__(config, *args, **kwargs)
        config.dataparser = given
        self.generator = torch.Generator().manual_seed(config.seed)

    def save_scene(self, path: Path) -> None:
        """What `scene_file` is read from."""
        train, held = self.train_dataset._dataparser_outputs, self.eval_dataset._dataparser_outputs
        save_scene(path, train, held, self.composited_over)

    def create_train_dataset(self) -> InputDataset:
        """The host would composite transparent pictures here; content is learned better with their alpha."""
        outputs = copy(self._agreed(self.train_dataparser_outputs, "training", FEWEST_PICTURES))
        if outputs.alpha_color is not None:
            self.background = outputs.alpha_color.float()
        self.composited_over, outputs.alpha_color = outputs.alpha_color, None
        self.train_dataparser_outputs = outputs
        self.share = self._working_share(outputs.cameras)
        return (GonePictures if isinstance(self.dataparser, SavedScene) else ScenePictures)(outputs, self.share)

    def _working_share(self, cameras: Cameras) -> float:
        """How large pictures are worked on beside those that are read; the setting then says which size that is."""
        config = self.config
        largest = int(torch.cat([cameras.height, cameras.width]).max())
        if config.camera_res_scale_factor != 1:
            config.size = int(largest * config.camera_res_scale_factor)
            config.camera_res_scale_factor = 1.0
        elif config.size is None and getattr(config.dataparser, "downscale_factor", None) is not None:
            shrink = getattr(self.dataparser, "shrink", 1)
            config.size = largest // shrink if shrink > 1 else 0
        elif config.size is None:
            config.size = working_size(cameras, config.pixels)
        assert config.size is not None
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
        """The held-out pictures that exist; where none of so few were held out, those that are learned from."""
        outputs = self.dataparser.get_dataparser_outputs(split=self.test_split)
        self.nothing_held_out = not outputs.image_filenames
        if self.nothing_held_out:
            CONSOLE.print(f"[yellow]{NOTHING_HELD_OUT}", soft_wrap=True)
            outputs = copy(self.train_dataparser_outputs)
            outputs.alpha_color = self.composited_over
            return ScenePictures(outputs, self.share)
        return ScenePictures(self._agreed(outputs, "held-out", fewest=1), self.share)

    @cached_property
    def seen_first(self) -> SeenPictures:
        """Where none is held out: the training pictures that the first `left_out_steps` learn from."""
        return SeenPictures(self.store.without(left_out(len(self.store))), self.train_ray_generator)

    def unseen(self) -> SeenPictures:
        """Some of the held-out pictures, with their alpha as those have it that are learned from; or those left out."""
        if self.nothing_held_out:
            seen = set(range(len(self.store))) - set(left_out(len(self.store)))
            return SeenPictures(self.store.without(seen), self.train_ray_generator)
        outputs = copy(self.eval_dataset._dataparser_outputs)
        outputs.alpha_color = None
        return SeenPictures.of(ScenePictures(outputs, self.share), torch.device(self.device))

    def _agreed(self, outputs: DataparserOutputs, split: str, fewest: int) -> DataparserOutputs:
        """For rendering along a path the host opens no picture (and names the full-size ones): none need be there."""
        if self.test_mode == "inference" or isinstance(self.dataparser, SavedScene):
            return outputs
        notes = self._notes_of_parser() if split == "training" else []
        try:
            outputs = agreed(outputs, split, fewest, getattr(self.dataparser, "level", 1), notes)
        except ValueError:
            if self.test_mode == "val":
                raise
            return outputs  # films need no pictures; whoever reads one is told what is wrong with it
        for note in notes if self.test_mode == "val" else ():
            CONSOLE.print(f"[yellow]{escape(note)}", soft_wrap=True)
        return outputs

    def _notes_of_parser(self) -> list[str]:
        return list(self.dataparser.scene.notes) if isinstance(self.dataparser, OrderlyNerfstudio) else []

    def setup_train(self) -> None:
        """Reads all training pictures once; evaluation and viewer need none of them."""
        if self.test_mode == "val":
            _check_memory(self.train_dataset.cameras, free_memory(torch.device(self.device)))
            self.store = PictureStore.of(self.train_dataset, torch.device(self.device))
        else:
            # `ns-export` draws rays, and sets here how many.
            self.train_pixel_sampler = PixelSamplerConfig().setup(num_rays_per_batch=self.get_train_rays_per_batch())

    def setup_eval(self) -> None:
        """What evaluation and films ask for, without reading a picture before it is asked for."""
        workers = self.world_size * 4
        self.eval_ray_generator = RayGenerator(self.eval_dataset.cameras.to(self.device))
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(
            self.eval_dataset, device=self.device, num_workers=workers
        )
        self.eval_dataloader = RandIndicesEvalDataloader(self.eval_dataset, device=self.device, num_workers=workers)

    def next_eval(self, step: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """Random rays of held-out pictures, which are all read when they are first asked for."""
        if self.eval_pixel_sampler is None:
            super().setup_eval()
        return super().next_eval(step)  # type: ignore[return-value]

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
        store = self.seen_first.store if step < self.left_out_steps else self.store
        indices = store.draw_pixels(self.config.train_num_rays_per_batch, self.generator)
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


def _parser_settings(config: InsStylizeDataManagerConfig, test_mode: str) -> DataParserConfig:
    """Of the parser that reads the data, or, of a finished run whose data are gone, what was saved of them."""
    given, file = config.dataparser, config.scene_file
    if test_mode == "val" or file is None or not file.is_file() or _is_there(given.data):
        return orderly(given)
    CONSOLE.print(
        f"[yellow]The data of this run are not at {given.data}: its saved cameras are used. Where photographs are needed, "
        f"say with {VARIABLE}=FOLDER where they are now.", soft_wrap=True
    )  # fmt: skip
    return SavedSceneConfig(data=given.data, file=file)


def _is_there(data: Path) -> bool:
    """Whether a scene's file or folder is, and for nerfstudio's folders its list of pictures."""
    return data.is_file() or (data.is_dir() and any(data.iterdir()))


def _check_memory(cameras: Cameras, free: int) -> None:
    """Refuses pictures that do not fit, before any is read."""
    needed = BYTES_A_PIXEL * int((cameras.height * cameras.width).sum())
    if needed > free:
        side = int(int(torch.cat([cameras.height, cameras.width]).max()) * (0.5 * free / needed) ** 0.5)
        raise ValueError(
            f"data: {len(cameras)} pictures of {_extent(cameras)} take {needed / 2**30:.1f} GB, and {free / 2**30:.1f} GB "
            f"are free; work on them at another size, --pipeline.datamanager.size {side} for example."
        )


def _extent(cameras: Cameras) -> str:
    return f"{int(cameras.width[0])}x{int(cameras.height[0])}"
