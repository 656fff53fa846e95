"""Reads cameras from a transforms.json of nerfstudio's, without looking at the pictures they belong to."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

LENS = ("k1", "k2", "k3", "k4", "p1", "p2")
BENT = ("FISHEYE", "EQUIRECTANGULAR", "ORTHO", "OMNI", "VR180")
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
