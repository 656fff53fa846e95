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
"""

import sys as _sys

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
    "object_cameras": "surfaces.cameras",
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
