"""Cameras and a folder of depth maps: what protocol G needs of frames of any program."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F

from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.files.cameras import Size, read_cameras
from ins3d.files.depth import depth_files, read_depth

DepthKind = Literal["ray", "z"]
"""Along the pixel's ray, as nerfstudio's fields render it, or along the camera's axis, as splatting and Blender do."""
SHAPE = 0.02
"""Relative difference up to which two pictures have the same shape: sides are rounded."""


class PosedDepth:
    """The views of frames that have a camera and a depth map of their names."""

    def __init__(
        self,
        cameras: Path,
        depth: Path,
        names: Sequence[str],
        size: Size,
        kind: DepthKind = "ray",
        scale: float | None = None,
    ) -> None:
        """`size` (width, height) is that of the content's frames, meant by intrinsics of a file that says none.

        ValueError or FileNotFoundError, naming the setting, where a frame lacks a camera or a depth map.
        """
        self.kind, self.scale = kind, scale
        posed, maps = read_cameras(cameras, size), depth_files(depth, "depth")
        _refuse_lacking(names, posed, f"cameras: {cameras} has no frame")
        _refuse_lacking(names, maps, f"depth: {depth} holds no map")
        self.cameras, self.maps = [posed[name] for name in names], [maps[name] for name in names]
        for camera in self.cameras:
            if camera.shape is not None and abs(camera.shape * size[1] / size[0] - 1) > SHAPE:
                raise ValueError(
                    f"cameras: {cameras} is for pictures {camera.shape:.3f} times as wide as high, and the frames have "
                    f"{size[0]}x{size[1]} pixels; give the frames that these cameras saw."
                )

    def view(self, frame: int, size: Size) -> GeometryView:
        """What a frame's camera sees at a size (width, height); where there is no depth, nothing."""
        camera, (width, height) = self.cameras[frame], size
        read = read_depth(self.maps[frame], "depth", self.scale)
        if abs(read.shape[2] * height / (read.shape[1] * width) - 1) > SHAPE:
            raise ValueError(
                f"depth: {self.maps[frame]} has {read.shape[2]}x{read.shape[1]} pixels, another shape than the frames' "
                f"{width}x{height}; give depth maps of the same views."
            )
        depth = F.interpolate(read[None], size=(height, width), mode="nearest-exact")[0]
        intrinsics = camera.intrinsics * torch.tensor([width, height] * 2)
        seen = (depth > 0).float()
        view = GeometryView(camera.camera_to_world, intrinsics, camera.distortion, depth, seen)
        if self.kind == "ray":
            return view
        along = -(view.directions @ camera.camera_to_world[:, 2])
        return GeometryView(camera.camera_to_world, intrinsics, camera.distortion, depth / along[None], seen)


def _refuse_lacking(names: Sequence[str], known: dict[str, Any], what: str) -> None:
    lacking = [name for name in names if name not in known]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        own = ", ".join(list(known)[:2])
        raise ValueError(f"{what} named {lacking[0]}{more}, it has {own}, ...; name frames, cameras and depth maps alike.")
