import json
from pathlib import Path

import pytest
import torch

from ins3d.pictures.checkpoint import FieldSpec, load_field, read_spec, save_field

CPU = torch.device("cpu")
SPECS = [
    FieldSpec("fit", "siren", 16, 16, 1.5),
    FieldSpec("stylize", "planes", 16, 24, 1.5, ("wave", "mosaic"), "style"),
    FieldSpec("blend", "planes", 16, 16, 0.7, ("wave",)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
class TestFields:
    def test_come_back_as_they_were(self, spec: FieldSpec, tmp_path: Path):
        field = spec.build()
        save_field(tmp_path, field, spec)
        loaded, found = load_field(tmp_path, "load", CPU)
        assert found == spec and type(loaded) is type(field) and not loaded.training
        state = loaded.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in field.state_dict().items())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["field.json", "field.safetensors"]

    def test_other_numbers_than_the_meaning_beside_them_are_refused(self, spec: FieldSpec, tmp_path: Path):
        save_field(tmp_path, FieldSpec("fit", "planes", 32, 32, 1.0).build(), spec)
        with pytest.raises(ValueError, match="does not hold what field.json beside it says; run it again"):
            load_field(tmp_path, "load", CPU)


def test_a_folder_without_a_field(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught:
        load_field(tmp_path, "load", CPU)
    assert (
        str(caught.value) == f"load: there is no field.json in {tmp_path}; give the output folder of fit, stylize or blend."
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"kind": "paint", "network": "siren", "long_side": 1, "aspect": 1, "styles": []}']
)
def test_a_meaning_that_means_nothing(text: str, tmp_path: Path):
    (tmp_path / "field.json").write_text(text)
    with pytest.raises(ValueError, match="field.json is not what fit, stylize or blend write; name their output"):
        read_spec(tmp_path, "load")


def test_a_cut_off_file_of_numbers(tmp_path: Path):
    save_field(tmp_path, SPECS[0].build(), SPECS[0])
    (tmp_path / "field.safetensors").write_bytes((tmp_path / "field.safetensors").read_bytes()[:100])
    with pytest.raises(ValueError, match="load: .*field.safetensors does not hold"):
        load_field(tmp_path, "load", CPU)


def test_the_meaning_is_for_people(tmp_path: Path):
    save_field(tmp_path, SPECS[1].build(), SPECS[1])
    contents = json.loads((tmp_path / "field.json").read_text())
    assert contents["styles"] == ["wave", "mosaic"] and contents["kind"] == "stylize"
