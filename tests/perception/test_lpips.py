from pathlib import Path

import pytest
import torch
import torchvision.models
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.transforms.functional import gaussian_blur

from ins3d.perception.lpips import PerceptualDistance, load_lpips

CPU = torch.device("cpu")


def random_features(net: str) -> torch.nn.Sequential:
    """The backbone's layers as torchvision makes them, with random numbers."""
    torch.manual_seed(0)
    if net == "vgg":  # torchvision's whole VGG draws a hundred million numbers for its classifier
        return torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    return getattr(torchvision.models, {"squeeze": "squeezenet1_1", "alex": "alexnet"}[net])(weights=None).features


def write_backbone(path: Path, net: str) -> Path:
    state = {f"features.{key}": value for key, value in random_features(net).state_dict().items()}
    torch.save(state | {"classifier.1.weight": torch.zeros(10, 3)}, path)
    return path


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    return write_backbone(tmp_path / "squeezenet1_1.pth", "squeeze")


@pytest.fixture
def lpips(backbone: Path) -> PerceptualDistance:
    return load_lpips("squeeze", backbone, CPU)


@pytest.fixture
def waves() -> Tensor:
    """A picture with slow and fast changes, 48 x 64."""
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    colours = [torch.sin(rows * rows / 90), torch.cos(columns / 3), torch.sin((rows + columns) / 5)]
    return 0.5 + 0.4 * torch.stack(colours)


def noised(rgb: Tensor, deviation: float) -> Tensor:
    noise = torch.randn(rgb.shape, generator=torch.Generator().manual_seed(0))
    return (rgb + deviation * noise).clamp(0, 1)


def blurred(rgb: Tensor, deviation: float) -> Tensor:
    side = 2 * int(3 * deviation) + 1
    return gaussian_blur(rgb, [side, side], [deviation, deviation])


class TestDistance:
    def test_is_zero_for_equal_pictures(self, lpips, waves):
        assert lpips(waves, waves.clone()) == 0.0

    def test_is_symmetric(self, lpips, waves):
        other = noised(waves, 0.1)
        assert lpips(waves, other) == lpips(other, waves) > 0

    @pytest.mark.parametrize("changed", [noised, blurred])
    @pytest.mark.parametrize("amounts", [(0.4, 0.8, 1.6)])
    def test_grows_with_noise_and_with_blur(self, changed, amounts, lpips, waves):
        scale = 0.1 if changed is noised else 1.0
        distances = [lpips(waves, changed(waves, scale * amount)) for amount in amounts]
        assert 0 < distances[0] < distances[1] < distances[2]

    @pytest.mark.parametrize(("input_range", "scale"), [("-1..1", 2.0), ("0..1", 1.0)])
    def test_shows_the_network_the_range_asked_for(self, input_range, scale, lpips, waves):
        other = noised(waves, 0.1)
        shown = [scale * rgb[None] - (scale - 1) for rgb in (waves, other)]
        wanted = lpips.network(*shown, normalize=False).mean().item()
        assert lpips(waves, other, None, input_range) == pytest.approx(wanted, rel=1e-5)

    def test_the_ranges_differ(self, lpips, waves):
        other = noised(waves, 0.1)
        assert lpips(waves, other) != pytest.approx(lpips(waves, other, input_range="0..1"), rel=0.01)

    def test_a_map_says_where_pictures_differ(self, lpips, waves):
        other = waves.clone()
        other[:, :16, :16] = noised(waves, 0.3)[:, :16, :16]
        found = lpips.distance_map(waves, other)
        assert found.shape == (48, 64) and found[:16, :16].mean() > 5 * found[32:, 32:].mean()

    @pytest.mark.parametrize(("height", "width"), [(31, 40), (40, 31)])
    def test_refuses_small_pictures(self, height, width, lpips):
        with pytest.raises(ValueError) as error:
            lpips(torch.zeros(3, height, width), torch.zeros(3, height, width))
        wanted = f"LPIPS cannot compare pictures of {width}x{height} pixels; use at least 32 pixels a side."
        assert str(error.value) == wanted

    def test_compares_the_smallest_pictures(self, lpips):
        assert lpips(torch.zeros(3, 32, 32), torch.ones(3, 32, 32)) > 0


class TestValid:
    @pytest.fixture
    def spoilt(self, waves: Tensor) -> Tensor:
        """The picture with noise in its left third."""
        return torch.cat([noised(waves, 0.3)[:, :, :24], waves[:, :, 24:]], dim=2)

    def columns(self, start: int, end: int) -> Tensor:
        valid = torch.zeros(48, 64, dtype=torch.bool)
        valid[:, start:end] = True
        return valid

    def test_all_pixels_are_as_none_named(self, lpips, waves, spoilt):
        assert lpips(waves, spoilt, self.columns(0, 64)) == pytest.approx(lpips(waves, spoilt), rel=1e-6)

    def test_what_is_not_valid_does_not_differ(self, lpips, waves, spoilt):
        # Without the replacement, features near the noise would differ in valid pixels too.
        assert lpips(waves, spoilt, self.columns(24, 64)) == 0.0
        assert lpips.distance_map(waves, spoilt)[:, 24:].max() > 0

    def test_counts_more_the_more_of_the_valid_pixels_differ(self, lpips, waves, spoilt):
        distances = [lpips(waves, spoilt, self.columns(start, start + 24)) for start in (0, 12, 24)]
        assert distances[0] > distances[1] > distances[2] == 0.0

    def test_averages_the_map_over_valid_pixels(self, lpips, waves, spoilt):
        valid = torch.rand(48, 64, generator=torch.Generator().manual_seed(0)) < 0.5
        replaced = waves.clone()
        for row, column in valid.nonzero().tolist():
            replaced[:, row, column] = spoilt[:, row, column]
        found = lpips.distance_map(waves, replaced)
        wanted = sum(found[row, column].item() for row, column in valid.nonzero().tolist()) / int(valid.sum())
        assert lpips(waves, spoilt, valid) == pytest.approx(wanted, rel=1e-5)

    def test_of_no_pixel_nothing_is_known(self, lpips, waves, spoilt):
        distance = lpips(waves, spoilt, self.columns(0, 0))
        assert distance != distance


class TestLoad:
    @pytest.mark.parametrize("net", ["squeeze", "alex", "vgg"])
    def test_puts_torchvisions_weights_in_their_places(self, net, tmp_path):
        network = load_lpips(net, write_backbone(tmp_path / "weights.pth", net), CPU).network
        pairs = list(zip(network.net.parameters(), random_features(net).parameters(), strict=True))
        assert pairs and all(torch.equal(own, theirs) for own, theirs in pairs)

    def test_the_map_averages_to_torchmetrics_number(self, lpips, waves):
        reference = _LPIPS(pretrained=True, net="squeeze", pnet_rand=True, spatial=False)
        for own, theirs in zip(reference.net.parameters(), random_features("squeeze").parameters(), strict=True):
            own.copy_(theirs.detach())
        other = noised(waves, 0.1)
        scalar = reference(waves[None], other[None], normalize=True).item()
        assert lpips(waves, other) == pytest.approx(scalar, rel=0.05)
        reference.spatial = True
        mapped = reference(waves[None], other[None], normalize=True).mean().item()
        assert lpips(waves, other) == pytest.approx(mapped, rel=1e-5)

    def test_draws_no_random_numbers(self, backbone):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        load_lpips("squeeze", backbone, CPU)
        assert torch.equal(torch.get_rng_state(), before)

    def test_says_what_it_is(self, lpips, backbone, monkeypatch: pytest.MonkeyPatch):
        source = (
            "LPIPS 0.1 squeeze on squeezenet1_1.pth (maybe not the published backbone), found in {}; input -1..1 unless "
            "said otherwise"
        )
        assert lpips.source == source.format("the setting lpips-backbone")
        monkeypatch.setenv("INS3D_LPIPS_BACKBONE", str(backbone))
        assert load_lpips("squeeze", None, CPU).source == source.format("INS3D_LPIPS_BACKBONE")
        official = backbone.rename(backbone.with_name("squeezenet1_1-b8a52dc0.pth"))
        assert load_lpips("squeeze", official, CPU).source.startswith(f"LPIPS 0.1 squeeze on {official.name}, found in ")

    @pytest.mark.parametrize(
        ("net", "official"),
        [
            ("squeeze", "squeezenet1_1-b8a52dc0.pth"),
            ("alex", "alexnet-owt-7be5be79.pth"),
            ("vgg", "vgg16-397923af.pth"),
        ],
    )
    def test_asks_for_the_file_of_its_backbone(self, net, official, tmp_path, monkeypatch: pytest.MonkeyPatch):
        def offline(*_):
            raise OSError("no network")

        monkeypatch.delenv("INS3D_LPIPS_BACKBONE", raising=False)
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        monkeypatch.setattr(torch.hub, "urlopen", offline)
        assert message(net, None, FileNotFoundError) == (
            f"lpips-backbone: {official} is not here and could not be downloaded (no network); fetch it elsewhere and give "
            "its path, or set INS3D_LPIPS_BACKBONE."
        )

    def test_refuses_another_networks_file(self, tmp_path):
        path = write_backbone(tmp_path / "weights.pth", "alex")
        assert message("squeeze", path, ValueError) == (
            f"lpips-backbone: {path} (from the setting lpips-backbone) is no backbone of LPIPS squeeze: features.0.weight "
            "has shape (64, 3, 11, 11) where (64, 3, 3, 3) was expected; give torchvision's squeezenet1_1-b8a52dc0.pth."
        )

    def test_refuses_a_file_that_ends_early(self, backbone):
        state = torch.load(backbone, weights_only=True)
        del state["features.12.expand3x3.bias"]
        torch.save(state, backbone)
        assert ": features.12.expand3x3.bias is missing; " in message("squeeze", backbone, ValueError)

    def test_refuses_what_is_no_weights_file(self, tmp_path):
        path = tmp_path / "weights.pth"
        path.write_text("404: not found")
        assert message("squeeze", path, ValueError) == (
            f"lpips-backbone: {path} (from the setting lpips-backbone) cannot be read as weights (UnpicklingError); give a "
            "state dict of torchvision's (of Keras's .h5, scripts/make/lpips_backbone.py makes one), or fetch it again."
        )


def message(net: str, path: Path | None, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        load_lpips(net, path, CPU)
    return str(error.value)
