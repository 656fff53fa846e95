import json
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from torch import nn

from ins3d.extension.ranges import with_fact
from ins3d.files.fields import (
    load_training,
    read_meaning,
    read_numbers,
    save_training,
    write_field,
)
from ins3d.pictures.settings import Blend, Fit
from ins3d.pictures.settings import Stylize as StylizePicture
from ins3d.surfaces.settings import FitImages, FitMesh, StylizeSurface

COMMANDS = ("fit", "stylize", "blend")


class TestFields:
    def test_numbers_and_meaning_come_back(self, tmp_path: Path, random: torch.Generator):
        field, other = nn.Linear(3, 2), nn.Linear(3, 2)
        write_field(tmp_path / "new", field, {"kind": "fit", "styles": ["wave"]})
        read_numbers(tmp_path / "new", other, "load")
        assert torch.equal(other.weight, field.weight) and torch.equal(other.bias, field.bias)
        assert read_meaning(tmp_path / "new", "load", COMMANDS, dict) == {"kind": "fit", "styles": ["wave"]}
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["field.json", "field.safetensors"]

    @pytest.mark.parametrize("other", [nn.Linear(3, 3), nn.Linear(3, 2, bias=False), nn.Sequential(nn.Linear(3, 2))])
    def test_another_field_is_refused(self, tmp_path: Path, other: nn.Module):
        write_field(tmp_path, nn.Linear(3, 2), {"kind": "fit"})
        with pytest.raises(ValueError) as caught:
            read_numbers(tmp_path, other, "load")
        assert str(caught.value) == (
            f"load: {tmp_path / 'field.safetensors'} does not hold what field.json beside it says; run it again."
        )

    @pytest.mark.parametrize("left", [0, 4, 100, None])
    def test_numbers_that_are_cut_off_or_gone_are_refused(self, tmp_path: Path, left: int | None):
        write_field(tmp_path, nn.Linear(3, 2), {"kind": "fit"})
        path = tmp_path / "field.safetensors"
        if left is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(ValueError, match="^mix: .*field.safetensors does not hold what field.json beside it says"):
            read_numbers(tmp_path, nn.Linear(3, 2), "mix")


class TestMeanings:
    def test_a_folder_without_one(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError) as caught:
            read_meaning(tmp_path, "fit", COMMANDS, dict)
        assert str(caught.value) == (
            f"fit: there is no field.json in {tmp_path}; give the output folder of fit, stylize or blend."
        )

    @pytest.mark.parametrize("contents", [b"{", b"[]", b"{}", b"7", b'{"kind": "paint"}', b'{"kind": ["fit"]}', b"\xff\xfe"])
    def test_one_of_something_else(self, tmp_path: Path, contents: bytes):
        (tmp_path / "field.json").write_bytes(contents)
        with pytest.raises(ValueError) as caught:
            read_meaning(tmp_path, "fit", COMMANDS, dict)
        assert type(caught.value) is ValueError and str(caught.value) == (
            f"fit: {tmp_path / 'field.json'} is not what fit, stylize or blend write; name their output, or run it again."
        )

    def test_is_for_people(self, tmp_path: Path):
        write_field(tmp_path, nn.Linear(1, 1), {"kind": "fit", "bound": 0.5})
        assert (tmp_path / "field.json").read_text() == '{\n "kind": "fit",\n "bound": 0.5\n}'
        assert json.loads((tmp_path / "field.json").read_text())["bound"] == 0.5


class TestTraining:
    def test_comes_back_for_the_same_settings_and_for_more_steps(self, tmp_path: Path):
        save_training(tmp_path / "training.pt", {"step": 3}, {"size": 16, "steps": 5})
        assert load_training(tmp_path / "training.pt", {"size": 16, "steps": 9}, {"steps"}) == {"step": 3}

    def test_tensors_come_back_to_the_last_bit(self, tmp_path: Path, random: torch.Generator):
        adam = torch.optim.Adam([nn.Parameter(torch.randn(3, generator=random))])
        adam.param_groups[0]["params"][0].sum().backward()
        adam.step()
        save_training(tmp_path / "training.pt", {"adam": adam.state_dict(), "draws": random.get_state()}, {})
        state = load_training(tmp_path / "training.pt", {}, ())
        assert torch.equal(state["draws"], random.get_state())
        assert torch.equal(state["adam"]["state"][0]["exp_avg"], adam.state_dict()["state"][0]["exp_avg"])

    @pytest.mark.parametrize("name", ["mix", "output"])
    def test_what_may_change_may(self, tmp_path: Path, name: str):
        save_training(tmp_path / "training.pt", {"step": 3}, {name: "one", "size": 16})
        assert load_training(tmp_path / "training.pt", {name: "other", "size": 16}, {"mix", "output"}) == {"step": 3}
        with pytest.raises(ValueError, match=f"^resume: {name} was one and is now other; "):
            load_training(tmp_path / "training.pt", {name: "other", "size": 16}, {"size"})

    @pytest.mark.parametrize("kind", [StylizePicture, Blend, StylizeSurface])
    def test_what_may_change_of_a_painted_field(self, kind: type):
        # The fields of the settings say it themselves, whichever class declares them again.
        of_meshes = {"export", "texture"} if kind is StylizeSurface else set()
        of_mixes = {"mix", "strength", "at_stroke_size"}
        assert set(with_fact(kind(), "may_change")) == {"output", "device", "resume", "steps"} | of_mixes | of_meshes

    @pytest.mark.parametrize("kind", [Fit, FitMesh, FitImages])
    def test_what_may_change_of_a_fit(self, kind: type):
        assert set(with_fact(kind(), "may_change")) == {"output", "device", "resume", "steps"}

    def test_a_file_of_another_version_is_refused(self, tmp_path: Path):
        torch.save({"state": {"step": 3}, "settings": {"size": "16"}}, tmp_path / "training.pt")
        with pytest.raises(ValueError) as caught:
            load_training(tmp_path / "training.pt", {"size": 16}, ())
        assert str(caught.value) == (
            f"resume: {tmp_path / 'training.pt'} was begun by another version of ins3d; leave out --resume."
        )

    def test_other_settings_are_refused_by_name(self, tmp_path: Path):
        save_training(tmp_path / "training.pt", {}, {"style_loss": ("gram",)})
        with pytest.raises(ValueError) as caught:
            load_training(tmp_path / "training.pt", {"style_loss": ("nnfm",)}, ("mix",))
        assert str(caught.value) == (
            "resume: style-loss was ('gram',) and is now ('nnfm',); resume with all that the run was begun with, or leave "
            "out --resume."
        )

    def test_a_setting_that_the_run_did_not_know_is_refused(self, tmp_path: Path):
        save_training(tmp_path / "training.pt", {}, {})
        with pytest.raises(ValueError, match="^resume: bound was None and is now 0.1; "):
            load_training(tmp_path / "training.pt", {"bound": 0.1}, ())

    def test_nothing_to_resume(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError) as caught:
            load_training(tmp_path / "training.pt", {}, ())
        assert str(caught.value) == (
            f"resume: there is no training.pt in {tmp_path}; leave out --resume, or name its output."
        )

    def test_a_broken_file(self, tmp_path: Path):
        (tmp_path / "training.pt").write_bytes(b"broken")
        with pytest.raises(ValueError) as caught:
            load_training(tmp_path / "training.pt", {}, ())
        assert str(caught.value) == f"resume: {tmp_path / 'training.pt'} cannot be read; leave out --resume."

    def test_a_file_that_is_cut_off(self, tmp_path: Path):
        path = tmp_path / "training.pt"
        save_training(path, {"numbers": torch.zeros(100)}, {})
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(ValueError, match="training.pt cannot be read; leave out --resume"):
            load_training(path, {}, ())

    @pytest.mark.parametrize("contents", [{"other.txt": b"hello"}, {"archive/data.pkl": b"junk", "archive/version": b"3"}])
    def test_another_zip(self, tmp_path: Path, contents: dict[str, bytes]):
        path = tmp_path / "training.pt"
        with ZipFile(path, "w") as file:
            for name, written in contents.items():
                file.writestr(name, written)
        with pytest.raises(ValueError, match="training.pt cannot be read; leave out --resume"):
            load_training(path, {}, ())

    def test_numbers_that_are_no_training(self, tmp_path: Path):
        path = tmp_path / "training.pt"
        torch.save(torch.zeros(3), path)
        with pytest.raises(ValueError, match="training.pt cannot be read; leave out --resume"):
            load_training(path, {}, ())
