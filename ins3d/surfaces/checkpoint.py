"""Saves and loads the field of an object: its weights, and the metadata: network, placement, cameras."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from ins3d.files.fields import read_meaning, read_numbers, write_field
from ins3d.meshes.triangles import MeshPlacement
from ins3d.placement.cameras import ObjectCameras, UpAxis
from ins3d.style.colors import Colors
from ins3d.surfaces.content import SurfaceContent, make_surface_content
from ins3d.surfaces.stylized import Mixes, ShownSurface, StylizedSurface, show_content

Kind = Literal["fit-mesh", "fit-images", "stylize"]
SurfaceField = SurfaceContent | StylizedSurface


@dataclass(frozen=True)
class SurfaceSpec:
    """The metadata of a field: all that it is built from."""

    kind: Kind
    """The subcommand that made it."""
    network: str
    up: UpAxis
    """Of the object's own axes."""
    placement: MeshPlacement
    source: str = ""
    """The mesh file, or the folder of photographs, that was fitted; empty: the project's own shape."""
    styles: tuple[str, ...] = ()
    """Names, in the order of the style code."""
    colors: Colors = "none"
    bound: float = 0.0
    """How far the stylised shape may be from the content's, in radii of the ball; 0: not at all."""
    cameras: dict[str, Any] | None = None
    """Those of the photographs, when there were any."""
    footprint: float = 0.0
    """How wide the pixels were that strokes were learned from, in radii of the ball; 0: files of before 0.3, unfiltered."""
    mixes: Mixes = "features"
    """What AM mixes; features: files of before 0.3."""

    def build(self) -> SurfaceField:
        """A field of this kind, untrained."""
        content = make_surface_content(self.network)
        if self.kind != "stylize":
            return content
        return StylizedSurface(content, len(self.styles), self.colors, self.bound, self.footprint, self.mixes)

    def object_cameras(self) -> ObjectCameras | None:
        """The photographs' cameras, in the ball."""
        if self.cameras is None:
            return None
        poses, intrinsics = (torch.tensor(self.cameras[name]) for name in ("camera_to_world", "intrinsics"))
        return ObjectCameras(poses, intrinsics, self.cameras["height"], self.cameras["width"])


def cameras_words(cameras: ObjectCameras) -> dict[str, Any]:
    """The cameras as JSON takes them, for `SurfaceSpec.cameras`."""
    poses, intrinsics = cameras.camera_to_world.tolist(), cameras.intrinsics.tolist()
    return {"camera_to_world": poses, "intrinsics": intrinsics, "height": cameras.height, "width": cameras.width}


def show_field(field: SurfaceField, code: torch.Tensor) -> ShownSurface:
    """A field under a style code, which one without styles does not look at."""
    return field.shown(code) if isinstance(field, StylizedSurface) else show_content(field)


def save_surface(folder: Path, field: SurfaceField, spec: SurfaceSpec) -> None:
    """Writes weights and metadata; see `files.fields`."""
    write_field(folder, field, asdict(spec))


def read_surface_spec(folder: Path, setting: str) -> SurfaceSpec:
    """What `save_surface` wrote, without the numbers; `setting` is the option that the folder came from."""

    def build(meaning: dict[str, Any]) -> SurfaceSpec:
        placement = MeshPlacement(tuple(meaning["placement"]["center"]), meaning["placement"]["scale"])
        return SurfaceSpec(**meaning | {"styles": tuple(meaning["styles"]), "placement": placement})

    return read_meaning(folder, setting, get_args(Kind), build)


def load_surface(folder: Path, setting: str, device: torch.device) -> tuple[SurfaceField, SurfaceSpec]:
    """What `save_surface` wrote, ready to be asked."""
    spec = read_surface_spec(folder, setting)
    return read_numbers(folder, spec.build(), setting).to(device), spec
