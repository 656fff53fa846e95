import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ins3d.plugin.host_fixes import allow_numpy_scalars, offer_bundled_ffmpeg
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
