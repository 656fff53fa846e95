import json
from pathlib import Path

import pytest
import torch

from ins3d.meshes.triangles import MeshPlacement
from ins3d.pictures.checkpoint import FieldSpec, load_field, save_field
from ins3d.placement.cameras import ObjectCameras
from ins3d.surfaces.checkpoint import SurfaceField, SurfaceSpec, cameras_words, load_surface, save_surface, show_field
from ins3d.surfaces.content import SurfaceContent
from ins3d.surfaces.stylized import StylizedSurface

CPU = torch.device("cpu")
PLACEMENT = MeshPlacement((0.1, -2.0, 1 / 3), 0.7)
CAMERAS = ObjectCameras(torch.rand(2, 3, 4), torch.tensor([[20.0, 21.0, 8.1, 6.0]] * 2), 12, 17)
SPECS = [
    SurfaceSpec("fit-mesh", "planes", "z", PLACEMENT, "bunny.ply"),
    SurfaceSpec("fit-mesh", "idr", "y", PLACEMENT),
    SurfaceSpec("fit-images", "planes", "y", PLACEMENT, cameras=cameras_words(CAMERAS)),
    SurfaceSpec("stylize", "planes", "y", PLACEMENT, "", ("wave", "mosaic"), "style", 0.05),
    SurfaceSpec("stylize", "planes", "z", PLACEMENT, "", ("wave",), "none", 0.0, cameras_words(CAMERAS)),
    SurfaceSpec("stylize", "planes", "y", PLACEMENT, "", ("a", "b", "c"), "style", footprint=0.01, mixes="colors"),
]


def trained(spec: SurfaceSpec, random: torch.Generator) -> SurfaceField:
    """Every number moved a little: a field that was never trained would come back by building it."""
    field = spec.build()
    for value in field.state_dict().values():
        if value.is_floating_point():
            value.add_(0.01 * torch.randn(value.shape, generator=random))
    return field


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.network}-{len(spec.styles)}")
class TestSurfaces:
    def test_come_back_as_they_were(self, spec: SurfaceSpec, tmp_path: Path, random: torch.Generator):
        field = trained(spec, random)
        save_surface(tmp_path, field, spec)
        loaded, found = load_surface(tmp_path, "fit", CPU)
        assert found == spec and type(loaded) is type(field)
        assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
        state = loaded.state_dict()
        assert state.keys() == field.state_dict().keys()
        assert all(torch.equal(value, state[name]) for name, value in field.state_dict().items())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["field.json", "field.safetensors"]

    def test_look_as_they_did(self, spec: SurfaceSpec, tmp_path: Path, random: torch.Generator):
        field, code = trained(spec, random), torch.full((len(spec.styles),), 0.5)
        save_surface(tmp_path, field, spec)
        before, after = show_field(field.eval(), code), show_field(load_surface(tmp_path, "fit", CPU)[0], code)
        places = torch.rand(20, 3, generator=random) - 0.5
        assert torch.equal(before.signed_distance(places), after.signed_distance(places))
        assert torch.equal(before.rgb(places), after.rgb(places))


class TestKinds:
    def test_a_fit_is_a_sphere_and_a_stylize_holds_one(self):
        assert isinstance(SPECS[0].build(), SurfaceContent)
        painted = SPECS[3].build()
        assert isinstance(painted, StylizedSurface) and isinstance(painted.content, SurfaceContent)
        assert painted.bound == 0.05 and painted.colors.mode == "style"

    def test_a_code_is_for_fields_with_styles(self, random: torch.Generator):
        painted, places = trained(SPECS[3], random), torch.rand(9, 3, generator=random)
        code = torch.tensor([1.0, 0.0])
        plain, shown, zero = show_field(painted.content, code), show_field(painted, code), show_field(painted, 0 * code)
        assert not torch.equal(shown.rgb(places), plain.rgb(places))
        assert torch.equal(zero.signed_distance(places), plain.signed_distance(places))


class TestCameras:
    def test_come_back_to_the_last_bit(self, tmp_path: Path):
        save_surface(tmp_path, SPECS[2].build(), SPECS[2])
        found = load_surface(tmp_path, "fit", CPU)[1].object_cameras()
        assert found is not None and (found.height, found.width) == (12, 17)
        assert torch.equal(found.camera_to_world, CAMERAS.camera_to_world)
        assert torch.equal(found.intrinsics, CAMERAS.intrinsics)

    def test_of_a_mesh_are_none(self):
        assert SPECS[0].object_cameras() is None


class TestRefusals:
    def test_a_folder_without_a_field(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError) as caught:
            load_surface(tmp_path, "fit", CPU)
        assert str(caught.value) == (
            f"fit: there is no field.json in {tmp_path}; give the output folder of fit-mesh, fit-images or stylize."
        )

    @pytest.mark.parametrize(
        "spec", [FieldSpec("fit", "siren", 16, 16, 1.5), FieldSpec("stylize", "planes", 16, 24, 1.5, ("wave",))]
    )
    def test_a_picture_is_no_surface(self, tmp_path: Path, spec: FieldSpec):
        save_field(tmp_path, spec.build(), spec)
        with pytest.raises(ValueError) as caught:
            load_surface(tmp_path, "fit", CPU)
        assert str(caught.value).startswith(
            f"fit: {tmp_path / 'field.json'} is not what fit-mesh, fit-images or stylize write; name their output"
        )

    @pytest.mark.parametrize("spec", [SPECS[0], SPECS[3]], ids=lambda spec: spec.kind)
    def test_a_surface_is_no_picture(self, tmp_path: Path, spec: SurfaceSpec):
        save_surface(tmp_path, spec.build(), spec)
        with pytest.raises(ValueError, match="load: .* is not what fit, stylize or blend write; name their output"):
            load_field(tmp_path, "load", CPU)

    @pytest.mark.parametrize("changes", [{"network": "idr"}, {"kind": "stylize", "styles": ["wave"]}])
    def test_other_numbers_than_the_meaning_beside_them(self, tmp_path: Path, changes: dict[str, object]):
        save_surface(tmp_path, SPECS[0].build(), SPECS[0])
        meaning = tmp_path / "field.json"
        meaning.write_text(json.dumps(json.loads(meaning.read_text()) | changes))
        with pytest.raises(ValueError) as caught:
            load_surface(tmp_path, "fit", CPU)
        assert str(caught.value) == (
            f"fit: {tmp_path / 'field.safetensors'} does not hold what field.json beside it says; run it again."
        )

    @pytest.mark.parametrize("changes", [{"placement": None}, {"placement": {}}, {"styles": None}, {"thickness": 1}])
    def test_a_meaning_that_means_nothing(self, tmp_path: Path, changes: dict[str, object]):
        save_surface(tmp_path, SPECS[0].build(), SPECS[0])
        meaning = tmp_path / "field.json"
        meaning.write_text(json.dumps(json.loads(meaning.read_text()) | changes))
        with pytest.raises(ValueError) as caught:
            load_surface(tmp_path, "fit", CPU)
        assert str(caught.value) == (
            f"fit: {meaning} is not what fit-mesh, fit-images or stylize write; name their output, or run it again."
        )
