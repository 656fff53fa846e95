"""What the subcommands of `ins3d object` are told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ins3d.extension.ranges import ranged
from ins3d.placement.cameras import UpAxis
from ins3d.runs.settings import OnDevice, Painted, Trained
from ins3d.style.mix import MixFilmSettings, MixSettings
from ins3d.style.windows import CachedPatchSettings

Clay = Literal["lit", "flat"]
Format = Literal["obj", "glb", "ply"]
Picture = Literal["rgb", "normals", "depth"]


@dataclass
class FitSurface(Trained):
    """What fits of meshes and of photographs are told alike."""

    network: str = "planes"
    """planes: feature planes and small networks, fastest. idr: the paper's eight layers of 512, hours on a CPU. Others
    are registered as `ins3d.surface_networks`."""


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
    size: int | None = ranged(None, min=16)
    """Long side in pixels at which the photographs are looked at; as they are when not given."""
    hold_out: int = ranged(8, min=0)
    """Hold out every N-th photograph for measuring; 0: none."""
    steps: int = 8000
    """Of the fit."""
    rays: int = ranged(1024, min=1)
    """Rays cast in each step."""
    mask_weight: float = ranged(100.0, min=0)
    """How much silhouettes count, beside colours."""
    eikonal_weight: float = ranged(0.1, min=0)
    """How much the distance must grow by one unit a unit (eikonal loss)."""


@dataclass
class StylizeSurface(Painted):
    """Paints a fitted object, one network for all styles, and writes it as a mesh (stage 2 of INS)."""

    output: Path = Path("outputs/stylize_mesh")
    """Folder to write into; what an earlier run left there is replaced, unless it is resumed."""
    mesh: Path | None = None
    """The mesh to paint: it is fitted first, into `fit` in the output folder, unless `fit` names a finished one."""
    images: Path | None = None
    """Photographs of the object to paint, instead of a mesh; they are fitted first."""
    fit: Path | None = None
    """Output folder of fit-mesh or fit-images."""
    up: UpAxis | None = None
    """The upward axis; when not given y, and z for nerfstudio's photographs."""
    content_weight: float = 0.08
    """More keeps more of the content; 1 is the difference between two places of it."""
    content_layers: tuple[str, ...] = ("relu3_1",)
    """Layers whose features carry the content."""
    steps: int = 400
    """Of one style; every further style adds 45 % of them."""
    patches: CachedPatchSettings = field(default_factory=lambda: CachedPatchSettings(max_rays=1_000_000))
    """What a step judges."""
    views: int = ranged(40, min=4)
    """Cameras around the object; the photographs' own are taken where there are any. Fewer leave sides that nobody sees."""
    view_size: int = ranged(512, min=16)
    """Long side in pixels of what those cameras see: the more, the finer the detail. Strokes are a share of it
    (`stroke-size`)."""
    geometry: Literal["locked", "distilled"] = "locked"
    """locked: the shape is that of the fit, to the last bit. distilled: it may move, no further than `bound`."""
    bound: float = ranged(0.02, min=1e-6)
    """How far a distilled shape may be from the fit's, in radii of the ball that holds the object."""
    weigh_angle: bool = True
    """What is seen at a slant counts less (StyleMesh)."""
    weigh_depth: bool = False
    """Strokes keep their size in the world, not in the picture (StyleMesh); for cameras at several distances."""
    export: tuple[Format, ...] = ranged(("obj", "glb"), may_change=True)
    """What is written at the end, into `mesh` in the output folder; see the subcommand export."""
    texture: int = ranged(2048, min=16, may_change=True)
    """Texels along one side of the texture."""


@dataclass
class Export(MixSettings, OnDevice):
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
    resolution: int = ranged(256, min=8)
    """Places along one side of the grid of marching cubes."""
    texture: int = ranged(2048, min=16, may_change=True)
    """Texels along one side of the texture."""


@dataclass
class RenderSurface(MixFilmSettings, OnDevice):
    """Renders an object: a turntable as .mp4 or .gif, or stills as .png files of a folder."""

    load: Path = Path("outputs/stylize_mesh")
    """Output folder of fit-mesh, fit-images or stylize."""
    output: Path = Path("outputs/turntable.mp4")
    """A film (.mp4, .gif), or a folder for stills."""
    pictures: tuple[Picture, ...] = ("rgb",)
    """One or more of rgb, normals, depth; in a film side by side."""
    path: Literal["auto", "turntable", "cameras"] = "auto"
    """turntable: once around; cameras: along the photographs' own. auto: those where there are any."""
    size: int = ranged(384, min=16)
    """Long side of a picture in pixels."""
    frames: int = ranged(72, min=1)
    """Of the film; or how many stills."""
    fps: int = ranged(24, min=1)
    """Frames a second of a film."""
    elevation: float = ranged(20.0, min=-90, max=90)
    """Of the turntable's camera, in degrees above the middle."""
    supersampling: int = ranged(2, min=1)
    """Rays, across and down, of a pixel at an edge: 1 is fast and jagged, 2 smooth."""
    background: float = ranged(1.0, min=0, max=1)
    """Grey behind the object, from 0 (black) to 1 (white)."""
