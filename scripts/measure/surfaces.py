"""What docs/results.md says of surfaces: fits of meshes beside open3d's exact answers, and exports beside our own renders.

    python scripts/measure/surfaces.py fits --meshes spot.obj bunny.obj armadillo.obj fandisk.obj
    python scripts/measure/surfaces.py export --load outputs/stylize_mesh

`fits` fits every mesh with the defaults of sdf_stylize.py; `export` renders the exported files with a ray caster that knows
nothing of the field, and the field itself, and says how far they agree.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torchmetrics.functional.image import peak_signal_noise_ratio

from ins3d.files.pictures import write_rgb
from ins3d.files.run_record import run_record
from ins3d.meshes.files import read_mesh
from ins3d.meshes.queries import MeshQueries
from ins3d.placement.cameras import cameras_around, turntable
from ins3d.style.mix import Mix
from ins3d.surfaces.checkpoint import load_surface, show_field
from ins3d.surfaces.content import SurfaceContent
from ins3d.surfaces.export_command import run_export
from ins3d.surfaces.fit_commands import placed_mesh, run_fit_mesh
from ins3d.surfaces.rendering import render_view
from ins3d.surfaces.settings import Export, FitMesh
from ins3d.surfaces.sphere_tracing import trace_rays
from ins3d.surfaces.stylized import ShownSurface, show_content
from ins3d.surfaces.triangulation import extract_triangles

CPU = torch.device("cpu")
VIEWS, SIZE = 8, 256


@dataclass
class Fits:
    """Fits meshes and measures the fits."""

    meshes: tuple[Path, ...]
    """Mesh files."""
    output: Path = Path("outputs/measure_surfaces")
    """Folder to write into."""


@dataclass
class Exported:
    """Measures exports of a finished field."""

    load: Path = Path("outputs/stylize_mesh")
    """Output folder of stylize."""
    output: Path = Path("outputs/measure_export")
    """Folder to write into."""
    texture: int = 2048
    """Texels along one side of the texture."""


def measure_fit(path: Path, folder: Path) -> dict[str, float]:
    """A fit of one mesh, as its user gets it."""
    started = time.monotonic()
    run_fit_mesh(FitMesh(output=folder, mesh=path))
    seconds = time.monotonic() - started
    content, _ = load_surface(folder, "fit", CPU)
    assert isinstance(content, SurfaceContent)
    mesh, _ = placed_mesh(path, "y", "lit")
    queries = MeshQueries(mesh)
    surface = show_content(content)
    triangles = extract_triangles(surface, 256, CPU)
    random = np.random.default_rng(0)
    vertices = triangles.vertices[random.choice(len(triangles.vertices), 10_000, replace=False)]
    apart = queries.scene.compute_distance(vertices.astype(np.float32)).numpy() / mesh.diagonal
    found = {"seconds": seconds, "mean_distance_%": 100 * float(apart.mean()), "worst_distance_%": 100 * float(apart.max())}
    return found | measure_tracing(surface, content, queries, mesh.diagonal)


def measure_tracing(
    surface: ShownSurface, content: SurfaceContent, queries: MeshQueries, diagonal: float
) -> dict[str, float]:
    """Sphere tracing beside open3d's ray casting, from sides that no fit has seen (a fit sees places, not views)."""
    cameras = cameras_around(VIEWS, "y", SIZE)
    agree, depths, psnr = [], [], []
    for camera in range(VIEWS):
        origins, directions = cameras.picture_rays(camera)
        hits = trace_rays(surface.signed_distance, origins, directions)
        exact = queries.cast(origins.numpy(), directions.numpy())
        both = hits.hit.numpy() & exact.hit
        agree.append(float((hits.hit.numpy() == exact.hit).mean()))
        depths.append(np.abs(hits.distances.numpy() - exact.distances)[both])
        at = (origins + hits.distances[:, None] * directions)[torch.from_numpy(both)]
        with torch.no_grad():
            rgb = content.rgb(content(at)[1], at, at)
        wanted = torch.from_numpy(queries.mesh.colors_at(exact.faces[both], exact.weights[both])).float()
        psnr.append(float(peak_signal_noise_ratio(rgb, wanted, data_range=1.0)))
    median = 100 * float(np.median(np.concatenate(depths))) / diagonal
    return {
        "hits_agree_%": 100 * min(agree),
        "median_depth_%": median,
        "psnr": float(np.mean(psnr)),
        "worst_psnr": min(psnr),
    }


def measure_export(settings: Exported) -> dict[str, float]:
    """Each exported file, from twelve sides, beside the field; over the whole picture and where the object is."""
    field, spec = load_surface(settings.load, "load", CPU)
    run_export(Export(load=settings.load, output=settings.output, texture=settings.texture))
    surface = show_field(field, Mix((1.0, *[0.0] * (len(spec.styles) - 1))).code())
    cameras = turntable(12, spec.up, 384)
    found = {}
    for name in ("obj", "glb", "ply"):
        queries = MeshQueries(spec.placement.inward(read_mesh(settings.output / f"painted.{name}", "mesh")))
        psnr, on_object = [], []
        for camera in range(len(cameras)):
            own = render_view(surface, cameras, camera).over(1.0)
            origins, directions = (rays.numpy() for rays in cameras.picture_rays(camera))
            hits = queries.cast(origins, directions)
            other = np.ones((len(origins), 3))
            other[hits.hit] = queries.mesh.colors_at(hits.faces[hits.hit], hits.weights[hits.hit])
            picture = torch.from_numpy(other).float().T.reshape(own.shape)
            psnr.append(float(peak_signal_noise_ratio(picture, own, data_range=1.0)))
            seen = torch.from_numpy(hits.hit).reshape(own.shape[1:])
            on_object.append(float(peak_signal_noise_ratio(picture[:, seen], own[:, seen], data_range=1.0)))
            if camera == 2:
                write_rgb(settings.output / f"beside_{name}.png", torch.cat([own, picture], dim=2))
        found |= {f"{name}_psnr": float(np.mean(psnr)), f"{name}_worst_psnr": min(psnr)}
        found |= {f"{name}_psnr_on_object": float(np.mean(on_object)), f"{name}_worst_on_object": min(on_object)}
    return found


def main() -> None:
    settings = tyro.extras.subcommand_cli_from_dict({"fits": Fits, "export": Exported}, description=__doc__)
    if isinstance(settings, Fits):
        found = {path.stem: measure_fit(path, settings.output / path.stem) for path in settings.meshes}
    else:
        found = measure_export(settings)
    settings.output.mkdir(parents=True, exist_ok=True)
    (settings.output / "measured.json").write_text(json.dumps(run_record(measured=found), indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
