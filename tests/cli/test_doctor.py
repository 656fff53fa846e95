"""`ins3d doctor`: what it finds, what it misses, and what it calls broken."""

import importlib
import importlib.metadata
from pathlib import Path

import pytest
import torch

from ins3d.cli import doctor

VARIABLES = ("INS3D_PERCEPTUAL_WEIGHTS", "INS3D_FLOW_WEIGHTS", "INS3D_LPIPS_BACKBONE", "INS3D_PER_FRAME_WEIGHTS")


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, an empty torch cache, and a download that fails the test: doctor must not try one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def downloaded(*args: object, **kwargs: object) -> None:
        pytest.fail("doctor downloads nothing")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", downloaded)


@pytest.fixture
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


EVERY_METHOD = "ins-stylize, ins-stylize-big, ins-stylize-hash, ins-stylize-paper, ins-stylize-small"


class TestHere:
    def test_everything_that_users_need_works(self, on_a_cpu):
        told = doctor.diagnose()
        found = dict(told.found)
        assert told.broken == []
        assert (
            f"torch {torch.__version__.partition('+')[0]}" in found["versions"] and "nerfstudio 1.1.5" in found["versions"]
        )
        assert found["device"].startswith("cpu, ")
        assert found["encoder"].startswith("compact_encoder.safetensors, found in the package")
        assert Path(found["ffmpeg"].split(" (")[0]).is_file()
        assert found["methods"] == f"{EVERY_METHOD} (registered with nerfstudio)"
        assert dict(told.missing).keys() >= {"VGG-19", "RAFT", "LPIPS", "MicroAST"}

    def test_the_lines_can_be_pasted(self, on_a_cpu, capsys):
        doctor.main([])
        shown = capsys.readouterr().out
        assert "Missing, and what for:" in shown and "BROKEN" not in shown and "\x1b" not in shown
        assert "name its file with INS3D_PERCEPTUAL_WEIGHTS" in shown


class TestWeights:
    def test_what_a_variable_names_is_found(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        (tmp_path / "raft.pth").touch()
        monkeypatch.setenv("INS3D_FLOW_WEIGHTS", str(tmp_path / "raft.pth"))
        told = doctor.Diagnosis()
        doctor._optional_weights(told)
        assert dict(told.found)["RAFT"] == f"{tmp_path / 'raft.pth'}, found in INS3D_FLOW_WEIGHTS"
        assert "RAFT" not in dict(told.missing)

    def test_a_variable_that_names_nothing_is_said(self, monkeypatch: pytest.MonkeyPatch, on_a_cpu):
        monkeypatch.setenv("INS3D_FLOW_WEIGHTS", "gone.pth")
        monkeypatch.setenv("INS3D_PERCEPTUAL_WEIGHTS", "gone.pth")
        told = doctor.Diagnosis()
        doctor._optional_weights(told)
        doctor._encoder(torch.device("cpu"), told)
        assert "gone.pth does not exist" in dict(told.missing)["RAFT"]
        assert "gone.pth does not exist" in dict(told.broken)["encoder"]

    def test_a_folder_is_no_network_and_a_file_is_not_four(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        (tmp_path / "one.pth").touch()
        monkeypatch.setenv("INS3D_FLOW_WEIGHTS", str(tmp_path))
        monkeypatch.setenv("INS3D_PER_FRAME_WEIGHTS", str(tmp_path / "one.pth"))
        told = doctor.Diagnosis()
        doctor._optional_weights(told)
        assert "is no file" in dict(told.missing)["RAFT"]
        assert "is no folder" in dict(told.missing)["MicroAST"] and not told.found

    def test_on_a_gpu_the_download_is_announced_and_not_made(self):
        told = doctor.Diagnosis()
        doctor._encoder(torch.device("cuda"), told)
        assert dict(told.found)["encoder"].startswith("vgg19, downloaded when it is first needed (548 MB)")


class TestBroken:
    def test_a_method_that_does_not_load_is_named_with_its_reason(self, monkeypatch: pytest.MonkeyPatch, capsys):
        entry = importlib.metadata.EntryPoint("ins-stylize", "ins3d.plugin.nowhere:x", doctor.METHODS_GROUP)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
        told = doctor.Diagnosis()
        doctor._methods(told)
        assert "does not load: ModuleNotFoundError" in dict(told.broken)["ins-stylize"]
        with pytest.raises(SystemExit) as left:
            doctor._print(told)
        assert left.value.code == 1 and "BROKEN" in capsys.readouterr().out

    def test_a_plugin_that_is_not_registered_is_said(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
        told = doctor.Diagnosis()
        doctor._methods(told)
        assert "none is registered with nerfstudio" in dict(told.broken)["methods"]

    def test_a_package_whose_library_is_missing_is_said(self, monkeypatch: pytest.MonkeyPatch):
        went_on = importlib.import_module

        def fail(name: str):
            if name == "open3d":
                raise OSError("libGL.so.1: cannot open shared object file")
            return went_on(name)

        monkeypatch.setattr(importlib, "import_module", fail)
        told = doctor.Diagnosis()
        doctor._packages(told)
        assert told.broken == [("open3d", "cannot be imported: OSError: libGL.so.1: cannot open shared object file")]
