"""What the subcommands of `ins3d object` are told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ins3d.runs.settings import Output, Painted
from ins3d.style.colors import Colors
from ins3d.surfaces.cameras import UpAxis
from ins3d.surfaces.content import SurfaceNetwork

Clay = Literal["lit", "flat"]
Format = Literal["obj", "glb", "ply"]
Picture = Literal["rgb", "normals", "depth"]


@dataclass
class FitSurface(Output):
    """What fits of meshes and of photographs are told alike."""

    network: SurfaceNetwork = "planes"
    """planes: feature planes and small networks, fastest. idr: the paper's eight layers of 512, hours on a CPU."""
    resume: bool = False
    """Goes on where the run in the output folder was stopped."""


@dataclass
class FitMesh(FitSurface):
    """Fits a mesh with networks: signed distance and colour as functions of place (stage 1)."""

    output: Path = Path("outputs/fit_mesh")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    mesh: Path | None = None
    """OBJ, PLY, STL or GLB, with its texture or vertex colours; a shape of the project's own when not given."""
    up: UpAxis = "y"
    """The mesh's upward axis; z is usual for STL and PLY."""
    clay: Clay = "lit"
    """Of a mesh without colours: lit paints a soft light from above into it, so that its shape is seen; flat does not."""
    steps: int = 1200
    """Of the fit."""
    points: int = 4096
    """Places asked in each step."""


@dataclass
class FitImages(FitSurface):
    """Fits photographs of an object with its masks: the shape and the colours are learned from pictures (IDR)."""

    output: Path = Path("outputs/fit_images")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    images: Path | None = None
    """A folder: image/, mask/ and cameras_sphere.npz (IDR, DTU), or transforms.json with masks or transparent pictures
    (nerfstudio); pictures of a shape of the project's own when not given."""
    up: UpAxis | None = None
    """The upward axis of the cameras' world; when not given z for nerfstudio's files, y for IDR's."""
    size: int | None = None
    """Long side in pixels at which the photographs are looked at; as they are when not given."""
    hold_out: int = 8
    """Every so-manieth picture is kept for measuring; 0: none."""
    steps: int = 8000
    """Of the fit."""
    rays: int = 1024
    """Rays cast in each step."""
    mask_weight: float = 100.0
    """How much silhouettes count, beside colours."""
    eikonal_weight: float = 0.1
    """How much the distance must grow by one unit a unit."""


@dataclass
class StylizeSurface(Painted):
    """Paints a fitted object, one network for all styles, and writes it as a mesh (stage 2 of INS)."""

    output: Path = Path("outputs/stylize_mesh")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    styles: tuple[Path, ...] = Painted.styles
    """Style pictures, or a folder of them."""
    mesh: Path | None = None
    """The mesh to paint: it is fitted first, into `fit` in the output folder, unless `fit` names a finished one."""
    images: Path | None = None
    """Photographs of the object to paint, instead of a mesh; they are fitted first."""
    fit: Path | None = None
    """Output folder of fit-mesh or fit-images."""
    up: UpAxis | None = None
    """The upward axis; when not given y, and z for nerfstudio's photographs."""
    content_weight: float = 0.09
    """More keeps more of the content; 1 is the difference between two places of it."""
    steps: int = 1600
    """Of one style; every further style adds half as many."""
    patch: int = 96
    """Rays along one side of the patches that are judged."""
    strides: tuple[int, ...] = (1, 1, 2, 4)
    """Pixels between two rays of a patch, drawn anew in every step."""
    views: int = 40
    """Cameras around the object; the photographs' own are taken where there are any."""
    view_size: int = 400
    """Long side in pixels of what those cameras see: the more, the finer the strokes."""
    rays: int = 600_000
    """Rays whose hits are kept, for all steps together."""
    geometry: Literal["locked", "distilled"] = "locked"
    """locked: the shape is that of the fit, to the last bit. distilled: it may move, no further than `bound`."""
    bound: float = 0.02
    """How far a distilled shape may be from the fit's, in radii of the ball that holds the object."""
    eikonal_weight: float = 0.1
    """Of a distilled shape: how much its distance must grow by one unit a unit."""
    distance_weight: float = 0.1
    """Of a distilled shape: how much its distance from the fit's counts, in shares of the bound."""
    weigh_angle: bool = True
    """What is seen at a slant counts less (StyleMesh)."""
    weigh_depth: bool = False
    """Strokes keep their size in the world, not in the picture (StyleMesh); for cameras at several distances."""
    colors: Colors = "style"
    """Whose colours the result has; none: whatever the losses make of them."""
    strength_share: float = 0.2
    """Share of the steps that train a random strength below 1."""
    mix_share: float = 0.2
    """Share of the steps that train a random blend of two styles, where there are two."""
    mix: tuple[float, ...] = ()
    """Of what is written: a weight for each style; empty: the first alone."""
    export: tuple[Format, ...] = ("obj", "glb")
    """What is written at the end, into `mesh` in the output folder; see the subcommand export."""
    texture: int = 1024
    """Texels along one side of the texture."""


@dataclass
class Export:
    """Writes a painted object as a mesh: textured (obj, with mtl and png), or with vertex colours (glb, ply)."""

    load: Path = Path("outputs/stylize_mesh")
    """Output folder of fit-mesh, fit-images or stylize."""
    output: Path = Path("outputs/mesh")
    """Folder to write into."""
    formats: tuple[Format, ...] = ("obj", "glb", "ply")
    """One or more of obj, glb, ply."""
    surface: Literal["auto", "mesh", "field"] = "auto"
    """mesh: the triangles that were fitted, and their places in the texture; field: marching cubes. auto: for obj the mesh,
    where it has places in a texture that can be painted; else marching cubes, which are fine enough for vertex colours."""
    mesh: Path | None = None
    """Where the fitted mesh is now, if it has been moved."""
    resolution: int = 256
    """Places along one side of the grid of marching cubes."""
    texture: int = 1024
    """Texels along one side of the texture."""
    most_faces: int = 40_000
    """Triangles of a textured mesh out of marching cubes; those with vertex colours keep all."""
    mix: tuple[float, ...] = ()
    """A weight for each style; empty: the first alone."""
    strength: float = 1.0
    """0 is the content, 1 the full style."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is a GPU where there is one."""


@dataclass
class RenderSurface:
    """Renders an object: a turntable as .mp4 or .gif, or stills as .png files of a folder."""

    load: Path = Path("outputs/stylize_mesh")
    """Output folder of fit-mesh, fit-images or stylize."""
    output: Path = Path("outputs/turntable.mp4")
    """A film (.mp4, .gif), or a folder for stills."""
    pictures: tuple[Picture, ...] = ("rgb",)
    """One or more of rgb, normals, depth; in a film side by side."""
    path: Literal["auto", "turntable", "cameras"] = "auto"
    """turntable: once around; cameras: along the photographs' own. auto: those where there are any."""
    size: int = 384
    """Long side of a picture in pixels."""
    frames: int = 72
    """Of the film; or how many stills."""
    fps: int = 24
    """Frames a second of a film."""
    elevation: float = 20.0
    """Of the turntable's camera, in degrees above the middle."""
    finer: int = 2
    """Rays of a pixel, across and down: 1 is fast and jagged, 2 smooth."""
    background: float = 1.0
    """Grey behind the object, from 0 (black) to 1 (white)."""
    mix: tuple[float, ...] = ()
    """A weight for each style; empty: the first alone."""
    strength: float = 1.0
    """0 is the content, 1 the full style."""
    keyframes: tuple[str, ...] = ()
    """Mixes and strengths along the way, blended in between: TIME:WEIGHTS@STRENGTH with a time from 0 to 1, such as
    0:1,0@0 0.5:1,0@1 1:0,1@1. Instead of mix and strength."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is a GPU where there is one."""
