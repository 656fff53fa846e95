import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.engine import trainer
from nerfstudio.scripts import render

from ins3d.plugin.host_fixes import allow_numpy_scalars, mend_the_films, mend_the_viewer, offer_bundled_ffmpeg
from tests.plugin.tiny_scenes import Scene, build_pipeline, small_config


class TestOfferBundledFfmpeg:
    def test_a_machine_without_ffmpeg_gets_one_that_runs(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert shutil.which("ffmpeg") is None
        offer_bundled_ffmpeg()
        program = shutil.which("ffmpeg")
        assert program is not None and Path(program).parent == tmp_path / "cache" / "ins3d" / "bin"
        said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
        assert said.startswith("ffmpeg version")
        assert [file.name for file in Path(program).parent.iterdir()] == ["ffmpeg"]

    def test_a_second_import_uses_the_same_copy(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        program = tmp_path / "ins3d" / "bin" / "ffmpeg"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", "")
        offer_bundled_ffmpeg()
        assert program.read_text() == "#!/bin/sh\n" and shutil.which("ffmpeg") == str(program)

    def test_the_folders_on_path_keep_their_precedence(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        offer_bundled_ffmpeg()
        assert os.environ["PATH"].split(os.pathsep) == [str(tmp_path / "empty"), str(tmp_path / "cache" / "ins3d" / "bin")]

    def test_with_an_ffmpeg_of_the_systems_nothing_changes(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        (tmp_path / "bin").mkdir()
        own = tmp_path / "bin" / "ffmpeg"
        own.write_text("#!/bin/sh\n")
        own.chmod(0o755)
        monkeypatch.setenv("PATH", str(own.parent))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        offer_bundled_ffmpeg()
        assert os.environ["PATH"] == str(own.parent)
        assert not (tmp_path / "cache").exists()


def cameras(number: int, width: int, height: int, cx: float) -> Cameras:
    poses = torch.eye(4)[None, :3].repeat(number, 1, 1)
    poses[:, 0, 3] = torch.arange(number)
    return Cameras(poses, fx=50.0, fy=50.0, cx=cx, cy=height / 2, width=width, height=height)


class TestMendTheFilms:
    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[Cameras]:
        """Cameras of the films that the host makes."""
        found: list[Cameras] = []
        for name in ("get_interpolated_camera_path", "get_spiral_path"):
            monkeypatch.setattr(render, name, getattr(render, name))
        monkeypatch.setattr(render, "_render_trajectory_video", lambda pipeline, cameras, **settings: found.append(cameras))
        mend_the_films(lambda: cameras(5, 47, 41, 20.0))
        mend_the_films(lambda: cameras(5, 47, 41, 20.0))  # as when two runs are opened
        return found

    @pytest.mark.parametrize("kind", ["between", "around"])
    def test_they_are_of_the_pictures_size_wherever_the_principal_point_is(self, made: list[Cameras], kind: str):
        held = cameras(3, 47, 41, cx=9.0)
        path = (
            render.get_interpolated_camera_path(cameras=held, steps=4, order_poses=False)
            if kind == "between" else render.get_spiral_path(held[:1], steps=4, radius=0.1)
        )  # fmt: skip
        assert set(path.width.flatten().tolist()) == {47} and set(path.height.flatten().tolist()) == {41}
        assert set(path.cx.flatten().tolist()) == {9.0}

    @pytest.mark.parametrize(("output", "size"), [("video", (46, 40)), ("images", (47, 41))])
    def test_sides_are_even(self, made: list[Cameras], output: str, size: tuple[int, int]):
        render._render_trajectory_video(None, cameras(3, 47, 41, 23.5), output_format=output)
        render._render_trajectory_video(
            None, cameras(3, 94, 82, 47.0), rendered_resolution_scaling_factor=0.5, output_format=output
        )
        for path in made:
            assert (int(path.width[0]), int(path.height[0]), float(path.cx[0])) == (*size, 23.5)

    @pytest.mark.parametrize("held", [0, 1])
    def test_with_less_than_two_cameras_they_fly_through_those_that_were_learned_from(self, made: list[Cameras], held: int):
        path = render.get_interpolated_camera_path(cameras=cameras(2, 47, 41, 20.0)[:held], steps=4, order_poses=False)
        assert path.camera_to_worlds[:, 0, 3].max() == 4 and len(path) == 16


class TestAllowNumpyScalars:
    def test_a_checkpoint_with_numpy_scalars_opens_with_torch_defaults(self, tmp_path: Path):
        torch.save({"schedulers": {"lr": np.float64(0.25)}}, tmp_path / "old.ckpt")
        before = torch.serialization.get_safe_globals()
        try:
            torch.serialization.clear_safe_globals()
            with pytest.raises(Exception, match="multiarray.scalar"):
                torch.load(tmp_path / "old.ckpt")
            allow_numpy_scalars()
            assert torch.load(tmp_path / "old.ckpt")["schedulers"]["lr"] == 0.25
        finally:
            torch.serialization.add_safe_globals(before)


class TestOthers:
    def test_importing_the_methods_changes_nothing_for_them(self, tmp_path: Path):
        script = """
import json, os, torch
def state():  # parts of torch, which the host imports, list types of their own
    safe = [kind for kind in torch.serialization.get_safe_globals() if kind.__module__.split(".")[0] != "torch"]
    return [os.environ["PATH"], sorted(map(str, safe))]
before = state()
import ins3d.plugin.methods
print(json.dumps([before, state()]))
"""
        # No ffmpeg is to be found, so that there is something to mend.
        here = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=here).stdout
        before, after = json.loads(said.splitlines()[-1])
        assert before == after and before[0] == str(tmp_path) and not (tmp_path / "cache" / "ins3d").exists()

    def test_opening_a_run_of_ours_mends_the_host(self, open_scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        before = torch.serialization.get_safe_globals()
        try:
            torch.serialization.clear_safe_globals()
            build_pipeline(small_config(open_scene, tmp_path))
            assert np.dtype in torch.serialization.get_safe_globals()
        finally:
            torch.serialization.add_safe_globals(before)
        program = shutil.which("ffmpeg")
        assert program is not None and Path(program).parent == tmp_path / "cache" / "ins3d" / "bin"


class TestMendTheViewer:
    def test_a_pipeline_is_shown_in_its_own_viewer_and_others_in_the_hosts(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(trainer, "ViewerState", dict)
        mend_the_viewer()
        mend_the_viewer()  # of every run that is opened
        assert trainer.ViewerState([("port", 7007)], pipeline="another's") == {"port": 7007, "pipeline": "another's"}
        ours = SimpleNamespace(viewer=lambda config, pipeline: (config, pipeline))
        assert trainer.ViewerState("config", pipeline=ours) == ("config", ours)
