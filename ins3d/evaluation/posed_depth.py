"""Cameras of a transforms.json and a folder of depth maps: what protocol G needs of frames of any program."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.files.depth import depth_files, read_depth

DepthKind = Literal["ray", "z"]
"""Along the pixel's ray, as nerfstudio's fields render it, or along the camera's axis, as splatting and Blender do."""
LENS = ("k1", "k2", "k3", "k4", "p1", "p2")
BENT = ("FISHEYE", "EQUIRECTANGULAR", "ORTHO", "OMNI", "VR180")
SHAPE = 0.02
"""Relative difference up to which two pictures have the same shape: sides are rounded."""
Size = tuple[int, int]


@dataclass(frozen=True)
class PosedCamera:
    """One of the frames of a transforms.json."""

    camera_to_world: Float[Tensor, "3 4"]
    """The camera looks along its -z axis, y is up."""
    intrinsics: Float[Tensor, " 4"]
    """fx, fy, cx, cy, in shares of the picture's width and height."""
    distortion: Float[Tensor, " 6"]
    """k1, k2, k3, k4, p1, p2 of nerfstudio's lens."""
    shape: float | None
    """Width by height, where the file has them."""


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


def read_cameras(path: Path, size: Size) -> dict[str, PosedCamera]:
    """The cameras of a transforms.json of nerfstudio's, by their pictures' names without folder and ending.

    Lenses k1, k2, k3, p1, p2 are applied; others are refused. Raises FileNotFoundError or ValueError, naming the setting.
    """
    if not path.is_file():
        raise FileNotFoundError(f"cameras: {path} does not exist; give the transforms.json of the frames.")
    remedy = "give a transforms.json as ns-process-data writes it."
    try:
        contents = json.loads(path.read_text())
        frames = [contents | frame for frame in contents["frames"]]
        return {Path(frame["file_path"]).stem: _camera(frame, size) for frame in frames}
    except KeyError as error:
        raise ValueError(f"cameras: {path} lacks {error}; {remedy}") from error
    except (TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise ValueError(f"cameras: {path} cannot be read as cameras ({error}); {remedy}") from error


def _camera(told: dict[str, Any], size: Size) -> PosedCamera:
    model = str(told.get("camera_model", "")).upper()
    if any(word in model for word in BENT) or told.get("k4"):
        what = f"camera_model is {model}" if any(word in model for word in BENT) else f"k4 is {told['k4']}"
        raise ValueError(f"the lens is no plain one ({what}): undistort the frames, and give their cameras")
    pose = torch.tensor(told["transform_matrix"], dtype=torch.float32)[:3]
    if pose.shape != (3, 4) or not bool(pose.isfinite().all()):
        raise ValueError(f"transform_matrix of {told['file_path']} is none")
    width, height = float(told.get("w") or size[0]), float(told.get("h") or size[1])
    if "fl_x" in told:
        across = float(told["fl_x"])
    else:
        across = width / 2 / torch.tensor(float(told["camera_angle_x"]) / 2).tan().item()
    down, middle = float(told.get("fl_y", across)), (told.get("cx", width / 2), told.get("cy", height / 2))
    shares = torch.tensor([across / width, down / height, float(middle[0]) / width, float(middle[1]) / height])
    lens = torch.tensor([float(told.get(name) or 0) for name in LENS])
    return PosedCamera(pose, shares, lens, width / height if told.get("w") and told.get("h") else None)


def _refuse_lacking(names: Sequence[str], known: dict[str, Any], what: str) -> None:
    lacking = [name for name in names if name not in known]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        own = ", ".join(list(known)[:2])
        raise ValueError(f"{what} named {lacking[0]}{more}, it has {own}, ...; name frames, cameras and depth maps alike.")
