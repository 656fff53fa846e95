"""`ns-export` on runs of this method, end to end with the host's defaults but for sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import open3d
import pytest
from nerfstudio.scripts.exporter import ExportPointCloud, ExportTSDFMesh

from ins3d.style.mix import Mix, write_mix
from tests.plugin.tiny_scenes import Scene, small_config, train


@pytest.fixture(scope="module")
def run(object_scene: Scene, tmp_path_factory: Any) -> Path:
    """A sphere before nothing, painted; its folder."""
    folder = tmp_path_factory.mktemp("export")
    config = small_config(object_scene, folder, content_steps=200, style_steps=10, model__colors="style")
    return train(config).base_dir


class TestPointCloud:
    def test_points_lie_on_the_object_with_normals_outwards_and_the_styles_colours(
        self, run: Path, object_scene: Scene, tmp_path: Path
    ):
        clouds = []
        for strength in (1.0, 0.0):
            write_mix(run / "style_mix.json", Mix((1.0,), strength), ("style",))
            folder = tmp_path / str(strength)
            ExportPointCloud(
                load_config=run / "config.yml", output_dir=folder, num_points=1500, num_rays_per_batch=1000
            ).main()
            clouds.append(open3d.io.read_point_cloud(str(folder / "point_cloud.ply")))
        (run / "style_mix.json").unlink()
        away = np.asarray(clouds[0].points) - object_scene.center
        distance = np.linalg.norm(away, axis=-1)
        assert abs(np.median(distance) / object_scene.radius - 1) < 0.1
        facing = (np.asarray(clouds[0].normals) * away).sum(-1) / distance
        assert (facing > 0).mean() > 0.8
        stylized, content = (np.asarray(cloud.colors).mean(0) for cloud in clouds)
        assert np.abs(stylized - content).max() > 0.02


class TestMesh:
    def test_no_sheets_hang_in_the_air_around_an_object(self, run: Path, object_scene: Scene, tmp_path: Path):
        ExportTSDFMesh(
            load_config=run / "config.yml", output_dir=tmp_path, downscale_factor=1, resolution=[48] * 3,
            target_num_faces=2000, num_pixels_per_side=128,
        ).main()  # fmt: skip
        mesh = open3d.io.read_triangle_mesh(str(tmp_path / "tsdf_mesh.ply"))
        distance = np.linalg.norm(np.asarray(mesh.vertices) - object_scene.center, axis=-1)
        assert len(distance) > 500
        assert (distance < 1.35 * object_scene.radius).mean() > 0.97
        assert (tmp_path / "mesh.obj").is_file() and (tmp_path / "material_0.png").is_file()
