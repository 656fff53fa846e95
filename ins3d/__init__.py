"""Style for implicit 3D scenes.

A field is asked about points, a patch of answers becomes a picture, the picture is judged by perceptual features, and
the gradient goes back into the field. The words mean the same everywhere:

pixel_indices     rays 3, int          camera, row, column
positions         *batch 3             scene units; inside fields the unit ball (`placement.scene`); of pictures *batch 2
directions        *batch 3             unit length
style_code        styles               >= 0; all zero is the content; its sum is the strength, its direction the mixture
content_features  *batch channels      CIM, `fields.content_features`
style_features    *batch channels      SIM, `fields.style_features`
density           *batch 1             >= 0, per unit length; `raw_density` is the value before its activation
rgb               *batch 3             sRGB in [0, 1]
patches           patches 3 size size  channels first from here on
feature_maps      {layer: batch channels height width}, after ReLU
grams             {layer: batch channels channels}, divided by channels * height * width
losses            scalar               unweighted; weights enter once, where losses are added up

`size` counts rays along a patch, `stride` picture pixels between neighbouring rays, `extent` picture pixels.
CIM, SIM and AM are the content implicit, style implicit and amalgamation modules of INS (Fan et al., ECCV 2022).
Which folder holds what, and which may use which, is the first picture of docs/design.md.

What scripts need is exported here, and imported when it is asked for: `from ins3d import paint_picture, Mix`.
"""

import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ins3d.evaluation.frame_judge import judge_frames
    from ins3d.pictures.painted import fit_picture, open_picture, paint_picture
    from ins3d.plugin.contents.content import CONTENTS
    from ins3d.plugin.finished.scenes import open_scene, paint_scene, scene_config
    from ins3d.style.losses import LOSSES
    from ins3d.style.mix import Mix
    from ins3d.style.styles import STYLES
    from ins3d.style.windows import WINDOW_RULES
    from ins3d.surfaces.painted import fit_object, open_object, paint_object

_EXPORTED = {
    "CONTENTS": "plugin.contents.content",
    "LOSSES": "style.losses",
    "Mix": "style.mix",
    "STYLES": "style.styles",
    "WINDOW_RULES": "style.windows",
    "fit_object": "surfaces.painted",
    "fit_picture": "pictures.painted",
    "judge_frames": "evaluation.frame_judge",
    "open_object": "surfaces.painted",
    "open_picture": "pictures.painted",
    "open_scene": "plugin.finished.scenes",
    "paint_object": "surfaces.painted",
    "paint_picture": "pictures.painted",
    "paint_scene": "plugin.finished.scenes",
    "scene_config": "plugin.finished.scenes",
}
__all__ = [
    "CONTENTS", "LOSSES", "Mix", "STYLES", "WINDOW_RULES", "fit_object", "fit_picture", "judge_frames", "open_object",
    "open_picture", "open_scene", "paint_object", "paint_picture", "paint_scene", "scene_config",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _EXPORTED:
        raise AttributeError(f"module 'ins3d' has no attribute {name!r}")
    return getattr(_import_module(f"ins3d.{_EXPORTED[name]}"), name)


MOVED = {
    "amalgamation": "fields.amalgamation",
    "command_objective": "runs.objective",
    "command_settings": "runs.settings",
    "content_features": "fields.content_features",
    "evaluation_frames": "evaluation.frames",
    "evaluation_measures": "evaluation.measures",
    "evaluation_pictures": "evaluation.pictures",
    "evaluation_report": "evaluation.report",
    "field_files": "files.fields",
    "flow_warp": "evaluation.flow_warp",
    "geometry_warp": "evaluation.geometry_warp",
    "image_fitting": "pictures.fitting",
    "mesh_files": "meshes.files",
    "mesh_fitting": "surfaces.mesh_fitting",
    "mesh_queries": "meshes.queries",
    "object_cameras": "placement.cameras",
    "object_pictures": "surfaces.photographs",
    "perceptual_losses": "perception.losses",
    "photo_fitting": "surfaces.photo_fitting",
    "picture_content": "pictures.content",
    "picture_rendering": "pictures.rendering",
    "point_encoding": "fields.point_encoding",
    "scene_placement": "placement.scene",
    "sdf_stylization": "surfaces.stylization",
    "sphere_tracing": "surfaces.sphere_tracing",
    "style_features": "fields.style_features",
    "style_losses": "style.losses",
    "style_objective": "style.objective",
    "style_targets": "style.targets",
    "stylized_surface": "surfaces.stylized",
    "surface_baking": "surfaces.baking",
    "surface_content": "surfaces.content",
    "surface_mesh": "meshes.triangles",
    "surface_points": "fields.merged_points",
    "surface_rendering": "surfaces.rendering",
    "surface_triangles": "surfaces.triangulation",
    "surface_windows": "surfaces.windows",
    "training_run": "runs.training_folder",
    "view_consistency": "evaluation.consistency",
}
"""Modules that README and docs named, and where they are since version 0.2."""


class _Moved:
    """Asked last for a module that nobody found: says where it went."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        old = name.removeprefix("ins3d.")
        if old != name and old in MOVED:
            raise ImportError(f"ins3d.{old} is now ins3d.{MOVED[old]}", name=name)


_sys.meta_path.append(_Moved)  # type: ignore[arg-type]
