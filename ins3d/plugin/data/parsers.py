"""The host's dataparsers, given files that they can read, and asking nothing."""

import json
from contextlib import suppress
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig, DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import Blender, BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParser, ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import Nerfstudio, NerfstudioDataParserConfig

from ins3d.files.foreign import find_file, read_text
from ins3d.plugin.data.photographs import find_photograph
from ins3d.plugin.data.transforms import SceneFile

PLACES_OF_COLMAP = ("sparse/0", "sparse", "colmap/sparse", ".")
"""Where COLMAP's own commands and other programs leave its files, besides the host's place."""


class OrderlyNerfstudio(Nerfstudio):
    """Reads a transforms.json that was written for it from the one that is there."""

    def __init__(self, config: NerfstudioDataParserConfig) -> None:
        super().__init__(config)
        self.scene = SceneFile(config.data, config.downscale_factor)
        self.meta, self.masks = self.scene.meta()
        self.downscale_factor = 1  # sizes are compared with the pictures, whatever their folder is called

    @property
    def level(self) -> int:
        """By how much pictures are smaller than the file says, as everybody knows."""
        return self.scene.level

    @property
    def shrink(self) -> int:
        """By how much they are to be reduced besides."""
        return self.scene.shrink

    def _generate_dataparser_outputs(self, split: str = "train") -> DataparserOutputs:
        given = self.config
        with TemporaryDirectory() as folder:
            self.config = copy(given)
            self.config.data = Path(folder, "transforms.json")
            self.config.data.write_text(json.dumps(self.meta))
            try:
                outputs = super()._generate_dataparser_outputs(split)
            finally:
                self.config = given
        if self.masks:
            outputs.mask_filenames = [self.masks.get(Path(path)) for path in outputs.image_filenames]  # type: ignore[misc]
        return outputs


def _is_colmap(folder: Path) -> bool:
    return any((folder / f"cameras.{ending}").is_file() for ending in ("bin", "txt"))


class SilentColmap(ColmapDataParser):
    """Pictures of the wanted size that are not there are reduced while they are read; the host would ask whether to make
    them, and a batch job cannot answer."""

    level, shrink = 1, 1

    def __init__(self, config: ColmapDataParserConfig) -> None:
        super().__init__(config)
        places = (config.colmap_path, *map(Path, PLACES_OF_COLMAP))
        found = next((place for place in places if _is_colmap(config.data / place)), None)
        if found is None:
            raise FileNotFoundError(
                f"data: {config.data} has no cameras.bin or cameras.txt of COLMAP in {config.colmap_path} (nor in "
                f"{', '.join(PLACES_OF_COLMAP)}); say where they are with --colmap-path."
            )
        config.colmap_path = found
        config.load_3D_points &= any((config.data / found).glob("points3D.*"))

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> DataparserOutputs:
        try:
            return super()._generate_dataparser_outputs(split, **kwargs)
        except NotImplementedError as error:
            raise ValueError(
                f"data: {self.config.data}: {error} Undistort the pictures: colmap image_undistorter."
            ) from error

    def _setup_downscale_factor(
        self, image_filenames: list[Path], mask_filenames: list[Path], depth_filenames: list[Path]
    ) -> tuple[list[Path], list[Path], list[Path], int]:
        images = self.config.data / self.config.images_path
        image_filenames = [
            path if path.is_file() else find_photograph(images, str(path.relative_to(images))) or path
            for path in image_filenames
        ]
        if self._downscale_factor is None:
            wanted = self.config.downscale_factor
            levels = [wanted] if wanted else [2, 4, 8]
            there = [level for level in levels if images.with_name(f"{images.name}_{level}").is_dir()]
            if not there:
                self._downscale_factor, self.shrink = 1, wanted or 1
        with suppress(SystemExit):
            return super()._setup_downscale_factor(image_filenames, mask_filenames, depth_filenames)
        raise FileNotFoundError(
            f"data: {self.config.data} has not all pictures in the size of --downscale-factor; leave that option out: "
            "pictures are reduced while they are read."
        )


class OrderlyBlender(Blender):
    """Where one of val and test is not there, the other stands for it; names may have their ending."""

    def _generate_dataparser_outputs(self, split: str = "train") -> DataparserOutputs:
        names = {"train": ["train"], "val": ["val", "test"], "test": ["test", "val"]}[split]
        files = [self.config.data / f"transforms_{name}.json" for name in names]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise FileNotFoundError(
                f"data: {files[0]} does not exist; put it there, or give the data as one transforms.json."
            )
        contents = json.loads(read_text(file))
        for frame in contents["frames"]:
            found = find_file(self.config.data, frame["file_path"], (".png",))
            frame["file_path"] = str((found or self.config.data / frame["file_path"]).absolute()).removesuffix(".png")
        with TemporaryDirectory() as folder:
            Path(folder, f"transforms_{split}.json").write_text(json.dumps(contents))
            self.data = Path(folder)  # the paths are whole
            try:
                return super()._generate_dataparser_outputs(split)
            finally:
                self.data = self.config.data


ORDERLY: dict[type, type] = {
    BlenderDataParserConfig: OrderlyBlender,
    NerfstudioDataParserConfig: OrderlyNerfstudio,
    ColmapDataParserConfig: SilentColmap,
}


def orderly(config: DataParserConfig) -> DataParserConfig:
    """The same settings for the parser that we have in its place, if any. What is given stays as it is."""
    found: Any = copy(config)
    found._target = ORDERLY.get(type(config), config._target)
    return found
