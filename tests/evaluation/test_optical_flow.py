import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError
from torch import Tensor
from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

from ins3d.evaluation.optical_flow import OFFICIAL_FILE, OpticalFlow, load_flow
from ins3d.files.pictures import read_rgb

CPU = torch.device("cpu")
# The authors' RAFT-small, from their raft-small.pth, beside torchvision's module of the same place.
AUTHORS_BLOCKS = {f"layer{layer}.{block}.conv{conv}": f"layer{layer}.{block}.convnormrelu{conv}.0"
                  for layer in (1, 2, 3) for block in (0, 1) for conv in (1, 2, 3)}  # fmt: skip
AUTHORS_ENCODER = AUTHORS_BLOCKS | {
    "conv1": "convnormrelu.0", "layer2.0.downsample.0": "layer2.0.downsample.0",
    "layer3.0.downsample.0": "layer3.0.downsample.0", "conv2": "conv",
}  # fmt: skip
AUTHORS = {
    **{f"fnet.{theirs}": f"feature_encoder.{name}" for theirs, name in AUTHORS_ENCODER.items()},
    **{f"cnet.{theirs}": f"context_encoder.{name}" for theirs, name in AUTHORS_ENCODER.items()},
    "update_block.encoder.convc1": "update_block.motion_encoder.convcorr1.0",
    "update_block.encoder.convf1": "update_block.motion_encoder.convflow1.0",
    "update_block.encoder.convf2": "update_block.motion_encoder.convflow2.0",
    "update_block.encoder.conv": "update_block.motion_encoder.conv.0",
    **{f"update_block.gru.conv{gate}": f"update_block.recurrent_block.convgru1.conv{gate}" for gate in "zrq"},
    **{f"update_block.flow_head.conv{conv}": f"update_block.flow_head.conv{conv}" for conv in (1, 2)},
}  # fmt: skip


@pytest.fixture
def state(random: torch.Generator) -> dict[str, Tensor]:
    """A network that was not trained, under torchvision's names."""
    return raft_small().state_dict()


@pytest.fixture
def flow(state: dict[str, Tensor], tmp_path: Path) -> OpticalFlow:
    torch.save(state, tmp_path / "mine.pth")
    return load_flow(tmp_path / "mine.pth", CPU)


def as_the_authors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the authors' names, in the order of their file."""
    theirs = {ours: name for name, ours in AUTHORS.items()}
    found = {}
    for key, value in state.items():
        ours, _, kind = key.rpartition(".")
        found[f"module.{theirs[ours]}.{kind}"] = value
    return found


class TestLoadFlow:
    def test_the_official_file_is_torchvisions(self):
        assert Raft_Small_Weights.C_T_V2.url == f"https://download.pytorch.org/models/{OFFICIAL_FILE}"

    @pytest.mark.parametrize("layout", ["torchvision", "authors"])
    def test_both_layouts_are_the_same_network(self, layout: str, state: dict[str, Tensor], tmp_path: Path):
        torch.save(state if layout == "torchvision" else as_the_authors(state), tmp_path / "mine.pth")
        loaded = load_flow(tmp_path / "mine.pth", CPU)
        found = loaded.network.state_dict()
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)
        assert not loaded.network.training and not any(value.requires_grad for value in loaded.network.parameters())

    def test_says_which_file_found_where(self, flow: OpticalFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        assert flow.source == "RAFT-small from mine.pth, found in the setting flow-weights"
        monkeypatch.setenv("INS3D_FLOW_WEIGHTS", str(tmp_path / "mine.pth"))
        assert load_flow(None, CPU).source == "RAFT-small from mine.pth, found in INS3D_FLOW_WEIGHTS"

    def test_names_the_setting_of_a_file_that_is_missing(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match=rf"^flow-weights: {tmp_path}/no\.pth does not exist; give the file of"):
            load_flow(tmp_path / "no.pth", CPU)

    def test_refuses_a_folder(self, tmp_path: Path):
        with pytest.raises(
            FileNotFoundError, match=rf"^flow-weights: {tmp_path} is no file; give the file of the network's"
        ):
            load_flow(tmp_path, CPU)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("nothing", "EOFError"),
            ("text", "UnpicklingError"),
            ("truncated", "RuntimeError"),
            ("pickle", "UnpicklingError"),
        ],
    )
    def test_refuses_what_is_not_a_whole_file(self, content: str, problem: str, state: dict[str, Tensor], tmp_path: Path):
        path = tmp_path / "mine.pth"
        torch.save({"key": Path("/")} if content == "pickle" else state, path)
        whole = path.read_bytes()
        kept = {"nothing": b"", "text": b"<html>not found</html>", "truncated": whole[:-200], "pickle": whole}
        path.write_bytes(kept[content])
        text = f"flow-weights: {path} (from the setting flow-weights) cannot be read as weights ({problem}); fetch it again."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            load_flow(path, CPU)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda state: [*state.values()], "feature_encoder.convnormrelu.0.weight is missing"),
            (lambda state: {"features.0.weight": torch.zeros(1)}, "feature_encoder.convnormrelu.0.weight is missing"),
            (lambda state: state | {"feature_encoder.conv.bias": "text"}, "feature_encoder.conv.bias is missing"),
            (
                lambda state: state | {"feature_encoder.conv.bias": torch.zeros(256)},
                "feature_encoder.conv.bias has shape (256,) where (128,) was expected",
            ),
            (
                lambda state: state | {"mask_predictor.conv.weight": torch.zeros(1)},
                "mask_predictor.conv.weight is no part of it",
            ),
        ],
    )
    def test_refuses_another_network(self, change, problem: str, state: dict[str, Tensor], tmp_path: Path):
        path = tmp_path / "other.pth"
        torch.save(change(dict(state)), path)
        text = (
            f"flow-weights: {path} does not hold RAFT-small ({problem}); give torchvision's "
            "raft_small_C_T_V2-01064c6d.pth or raft-small.pth of princeton-vl/RAFT."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            load_flow(path, CPU)


class TestOpticalFlow:
    @pytest.mark.parametrize(
        ("height", "width", "above", "below", "left", "right"),
        [(128, 136, 0, 0, 0, 0), (131, 150, 2, 3, 1, 1), (60, 129, 34, 34, 3, 4)],
    )
    def test_pads_with_the_border_and_cuts_the_flow_back(
        self, height, width, above, below, left, right, flow: OpticalFlow, random: torch.Generator
    ):
        first, second = torch.rand(2, 3, height, width, generator=random)
        rows = torch.arange(-above, height + below).clamp(0, height - 1)
        columns = torch.arange(-left, width + right).clamp(0, width - 1)
        # RAFT takes pictures in [-1, 1].
        padded = [(picture * 2 - 1)[:, rows][:, :, columns][None] for picture in (first, second)]
        expected = flow.network(*padded, num_flow_updates=2)[-1][0, :, above : above + height, left : left + width]
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(flow(first, second, iterations=2), expected)

    def test_keeps_nothing_of_the_pictures(self, flow: OpticalFlow, random: torch.Generator):
        found = flow(*torch.rand(2, 3, 128, 128, generator=random), iterations=1)
        assert not found.requires_grad and flow.network.corr_block.corr_pyramid == []

    def test_refuses_pictures_of_two_sizes(self, flow: OpticalFlow):
        with pytest.raises(TypeCheckError):
            flow(torch.zeros(3, 100, 100), torch.zeros(3, 104, 100))


@pytest.mark.weights
class TestRealWeights:
    @pytest.fixture
    def trained(self, assets: Path) -> OpticalFlow:
        return load_flow(assets / "flow" / "raft-small.pth", CPU)

    @staticmethod
    def shifted(assets: Path, right: int, down: int) -> tuple[Tensor, Tensor]:
        """Two windows of one photograph, 150 x 190: what they show is at x in the first, at x + shift in the second."""
        photograph = read_rgb(assets / "scenes" / "fox" / "images_4" / "0001.jpg", "test")
        first, second = ((30, 40), (30 - down, 40 - right))
        return tuple(photograph[:, top : top + 150, left : left + 190] for top, left in (first, second))

    def test_the_authors_file_has_torchvisions_order(self, state: dict[str, Tensor], assets: Path):
        theirs = torch.load(assets / "flow" / "raft-small.pth", map_location="cpu", weights_only=True)
        assert list(theirs) == list(as_the_authors(state))

    @pytest.mark.parametrize("shift", [(5, -3), (-12, 7), (0, 0)])
    def test_finds_a_shift_of_a_photograph(self, shift: tuple[int, int], trained: OpticalFlow, assets: Path):
        found = trained(*self.shifted(assets, *shift), iterations=8)[:, 16:-16, 16:-16]
        errors = (found - torch.tensor(shift)[:, None, None]).norm(dim=0)
        assert errors.median() < 0.3 and errors.quantile(0.95) < 0.6

    def test_finds_half_a_pixel(self, trained: OpticalFlow, assets: Path):
        # Halving pictures halves the shift, (5, -3), and leaves 75 x 95 pixels: fewer than the network takes.
        halves = [F.avg_pool2d(picture[None], 2)[0] for picture in self.shifted(assets, 5, -3)]
        found = trained(*halves, iterations=8)[:, 12:-12, 12:-12]
        errors = (found - torch.tensor([2.5, -1.5])[:, None, None]).norm(dim=0)
        assert errors.median() < 0.3
