"""Renders the frames of an evaluation: photographs, unstylised and stylised renders, depth and opacity."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from ins3d.evaluation.frames import FrameFolder, PathName, Row
from ins3d.evaluation.geometry_warp import MIN_OPACITY, GeometryView
from ins3d.evaluation.settings import Flight
from ins3d.evaluation.stages import tracked
from ins3d.plugin.code_renders import CodeRenders, render_codes
from ins3d.plugin.content_checkpoint import FILE_NAME, load_content
from ins3d.plugin.contents.content import FrozenDensity
from ins3d.plugin.evaluation import depth_drift
from ins3d.plugin.finished.camera_paths import camera_path
from ins3d.plugin.rays.picture_store import over_background


@dataclass(frozen=True)
class EvaluationPath:
    """Cameras in an order, and the photographs that were taken from there, if any."""

    name: PathName
    cameras: Cameras
    photographs: list[tuple[InputDataset, int]]
    """Which picture of which dataset; none on a smooth path."""

    def __len__(self) -> int:
        return len(self.cameras)


def evaluation_path(name: PathName, pipeline: Any, num_frames: int, kind: Flight = "auto") -> EvaluationPath:
    """`held-out`: pictures that were not learned from; `views`: neighbouring photographs; `smooth`: a flight."""
    train, held = pipeline.datamanager.train_dataset, pipeline.datamanager.eval_dataset
    if name == "smooth":
        placement = pipeline.model.ray_content.placement
        cameras = train.cameras.to("cpu")
        return EvaluationPath(name, camera_path(kind, cameras, placement.center.cpu(), placement.is_bounded, num_frames), [])
    if name == "held-out":
        chosen = torch.linspace(0, len(held) - 1, min(num_frames, len(held))).round().long().unique()
        taken = [(held, index) for index in chosen.tolist()]
    else:
        datasets = (train,) if pipeline.datamanager.nothing_held_out else (train, held)
        every = [(dataset, index) for dataset in datasets for index in range(len(dataset))]
        poses = torch.stack([dataset.cameras.camera_to_worlds[index].cpu() for dataset, index in every])
        taken = [every[index] for index in tour(poses)[:num_frames]]
    cameras = [dataset.cameras[index : index + 1].to("cpu") for dataset, index in taken]
    return EvaluationPath(name, _together(cameras), taken)


def tour(poses: Tensor) -> list[int]:
    """All cameras, each followed by the nearest that is left: by place, in median distances, and viewing axis."""
    places, axes = poses[:, :3, 3], poses[:, :3, 2]
    scale = torch.cdist(places, places).median().clamp(min=1e-9)
    apart = torch.cdist(places, places) / scale + torch.cdist(axes, axes)
    order, left = [0], set(range(1, len(poses)))
    while left:
        order.append(min(left, key=lambda camera: float(apart[order[-1], camera])))
        left.remove(order[-1])
    return order


def _together(cameras: list[Cameras]) -> Cameras:
    kinds = {int(camera.camera_type[0]) for camera in cameras}
    if kinds != {CameraType.PERSPECTIVE.value}:
        raise ValueError("load-config: the scene's cameras are not all perspective ones; undistort its pictures first.")
    sizes = {(int(camera.width), int(camera.height)) for camera in cameras}
    if len(sizes) > 1:
        raise ValueError(f"load-config: the scene's pictures have several sizes ({sorted(sizes)}); give them one.")
    lenses = [camera.distortion_params for camera in cameras if camera.distortion_params is not None]
    return Cameras(
        torch.cat([camera.camera_to_worlds for camera in cameras]),
        *(torch.cat([getattr(camera, name) for camera in cameras]) for name in ("fx", "fy", "cx", "cy")),
        width=cameras[0].width[0], height=cameras[0].height[0],
        distortion_params=torch.cat(lenses) if len(lenses) == len(cameras) else None,
    )  # fmt: skip


def frozen_density(pipeline: Any, run: Path) -> FrozenDensity | None:
    """The content's density as it was at the boundary, where it has gone on learning since; else None."""
    if pipeline.config.content_style_mult == 0:
        return None
    return pipeline.model.movable_content.frozen_density(load_content(run / FILE_NAME).state)


def render_frames(pipeline: Any, path: EvaluationPath, folder: FrameFolder, frozen: FrozenDensity | None = None) -> None:
    """Renders what is not there yet, under every style of the run."""
    model = pipeline.model
    names, bounded = model.controls.names, model.ray_content.placement.is_bounded
    for frame in tracked(range(len(path)), f"{path.name}: rendering"):
        if folder.numbers(frame) is not None:
            continue
        camera = path.cameras[frame : frame + 1]
        renders, alpha = render_codes(model, camera, torch.eye(len(names)), frozen), None
        if path.photographs:
            dataset, index = path.photographs[frame]
            photograph = dataset.get_data(index)["image"]
            alpha = photograph[..., 3:].permute(2, 0, 1) if photograph.shape[-1] == 4 else None
            shown = over_background(photograph, model.background.cpu())
            folder.write_picture(Row("photographs"), frame, shown.permute(2, 0, 1))
        folder.write_picture(Row("unstylised"), frame, renders.content_rgb)
        for name, rgb in zip(names, renders.rgb, strict=True):
            folder.write_picture(Row("stylised", name), frame, rgb)
        folder.write_geometry(frame, geometry_view(camera, renders), geometry_numbers(renders, names, bounded, alpha))


def geometry_view(camera: Cameras, renders: CodeRenders) -> GeometryView:
    """What the frozen field says, as the core takes it."""
    lens = torch.zeros(6) if camera.distortion_params is None else camera.distortion_params[0]
    intrinsics = torch.cat([getattr(camera, name).flatten() for name in ("fx", "fy", "cx", "cy")])
    depth, opacity = renders.content_depth.cpu(), renders.accumulation.cpu()
    return GeometryView(camera.camera_to_worlds[0, :3], intrinsics.float(), lens.float(), depth, opacity)


def geometry_numbers(renders: CodeRenders, names: Sequence[str], bounded: bool, alpha: Tensor | None) -> dict[str, Any]:
    """By style: how far depth, opacity and silhouette have moved from the frozen field's, and what floats before it."""
    solid = renders.accumulation > MIN_OPACITY
    found: dict[str, Any] = {}
    for index, name in enumerate(names):
        found[name] = depth_drift(renders.depth[index], renders.content_depth, renders.accumulation)
        found[name] |= {
            "opacity_change": float((renders.opacity[index] - renders.accumulation).abs().mean()),
            "floating": float(renders.floating[index].mean()),
        }
        if bounded:
            found[name]["silhouette_iou"] = _overlap(renders.opacity[index] > MIN_OPACITY, solid)
    if bounded and alpha is not None:
        found["frozen field"] = {"silhouette_iou": _overlap(solid.cpu(), alpha > MIN_OPACITY)}
    return found


def _overlap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours & theirs).sum() / (ours | theirs).sum().clamp(min=1))
