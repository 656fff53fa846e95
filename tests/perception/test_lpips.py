from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision.models
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.transforms.functional import gaussian_blur

from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.lpips import PerceptualDistance, fold_caffe_input, load_lpips
from ins3d.perception.weights import load_encoder

CPU = torch.device("cpu")
KERAS_FILE = Path("lpips") / "backbones" / "squeezenet1_1_keras_tf_notop.h5"


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
def keras(assets: Path) -> PerceptualDistance:
    return load_lpips("squeeze", assets / KERAS_FILE, CPU)


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
        source = "LPIPS 0.1 squeeze on squeezenet1_1.pth, found in {}; input -1..1 unless said otherwise"
        assert lpips.source == source.format("the setting lpips-backbone")
        monkeypatch.setenv("INS3D_LPIPS_BACKBONE", str(backbone))
        assert load_lpips("squeeze", None, CPU).source == source.format("INS3D_LPIPS_BACKBONE")

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
            "of shape (64, 3, 3, 3) is missing; give torchvision's squeezenet1_1-b8a52dc0.pth."
        )

    def test_refuses_a_file_that_ends_early(self, backbone):
        state = torch.load(backbone, weights_only=True)
        del state["features.12.expand3x3.bias"]
        torch.save(state, backbone)
        assert ": features.12.expand3x3.bias of shape (256,) is missing; " in message("squeeze", backbone, ValueError)

    def test_refuses_what_is_no_weights_file(self, tmp_path):
        path = tmp_path / "weights.pth"
        path.write_text("404: not found")
        assert message("squeeze", path, ValueError) == (
            f"lpips-backbone: {path} (from the setting lpips-backbone) cannot be read as weights (UnpicklingError); give a "
            "state dict of torchvision's, or fetch it again."
        )


def message(net: str, path: Path | None, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        load_lpips(net, path, CPU)
    return str(error.value)


class TestKerasMessages:
    def test_refuses_a_keras_file_for_other_nets(self, tmp_path):
        path = tmp_path / "weights.h5"
        path.touch()
        assert message("alex", path, ValueError) == (
            f"lpips-backbone: {path} is a Keras file, which is understood for squeeze only; give torchvision's "
            "alexnet-owt-7be5be79.pth, or set lpips-net to squeeze."
        )

    @pytest.mark.parametrize("what", ["text", "empty", "another"])
    def test_refuses_what_is_no_squeezenet(self, what, tmp_path):
        h5py = pytest.importorskip("h5py")
        path = tmp_path / "weights.h5"
        if what == "text":
            path.write_text("404: not found")
        else:
            with h5py.File(path, "w") as file:
                if what == "another":
                    file["conv1/kernel"] = [1.0, 2.0]
        assert message("squeeze", path, ValueError) == (
            f"lpips-backbone: {path} (from the setting lpips-backbone) cannot be read as Keras's SqueezeNet 1.1; fetch "
            "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5 from github.com/rcmalli/keras-squeezenet."
        )


def test_a_folded_convolution_sees_what_caffe_showed(random):
    kernel, bias = torch.randn(4, 3, 3, 3, generator=random), torch.randn(4, generator=random)
    shift, scale = torch.tensor([-0.03, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.45])
    rgb = torch.rand(3, 5, 6, generator=random)
    scaled = torch.stack([(2 * rgb[colour] - 1 - shift[colour]) / scale[colour] for colour in range(3)])
    bgr = torch.stack([255 * rgb[2] - 104, 255 * rgb[1] - 117, 255 * rgb[0] - 123])
    wanted = F.conv2d(bgr[None], kernel, bias)
    torch.testing.assert_close(
        F.conv2d(scaled[None], *fold_caffe_input(kernel, bias, shift, scale)), wanted, rtol=1e-4, atol=1e-3
    )


@pytest.mark.weights
class TestKerasFile:
    @pytest.fixture(autouse=True)
    def needs_h5py(self):
        pytest.importorskip("h5py")

    def pictures(self, assets: Path, number: int, side: int) -> Tensor:
        files = sorted((assets / "images" / "kodak").glob("*.png"))[:number]
        small = [resize_long_side(read_rgb(path, "test"), side)[None] for path in files]
        return torch.cat([F.interpolate(rgb, size=(side, side)) for rgb in small])

    def test_its_first_layers_are_the_files(self, keras, assets):
        import h5py

        with h5py.File(assets / KERAS_FILE) as file:
            kernels = {name: torch.tensor(file[name][()]).permute(3, 2, 0, 1) for name in self.kernels(file)}
            biases = {name.split("/")[0]: torch.tensor(file[name][()]) for name in ("conv1/conv1_b",)}
            squeeze_bias = torch.tensor(file["fire2/squeeze1x1/fire2/squeeze1x1_b"][()])
        rgb = self.pictures(assets, 1, 64)
        bgr = 255 * rgb.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
        first = F.relu(F.conv2d(bgr, kernels["conv1/uniform1"], biases["conv1"], stride=2))
        pooled = F.max_pool2d(first, 3, 2, ceil_mode=True)
        squeezed = F.conv2d(pooled, kernels["fire2/squeeze1x1/uniform2"], squeeze_bias)
        net, scaled = keras.network.net, keras.network.scaling_layer(2 * rgb - 1)
        found = net.slices[0](scaled)
        torch.testing.assert_close(found, first, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(net.slices[1][1].squeeze(net.slices[1][0](found)), squeezed, rtol=1e-4, atol=1e-2)

    def kernels(self, file) -> list[str]:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if len(getattr(item, "shape", ())) == 4 else None)
        return names

    def test_every_kernel_of_the_file_is_used(self, keras, assets):
        import h5py

        with h5py.File(assets / KERAS_FILE) as file:
            sums = sorted(float(abs(file[name][()]).sum()) for name in self.kernels(file) if name != "conv1/uniform1")
        weights = [value for key, value in keras.network.net.state_dict().items() if key.endswith("weight")]
        found = sorted(weight.abs().sum().item() for weight in weights if weight.shape[1] != 3)
        assert len(found) == 24 and found == pytest.approx(sums, rel=1e-5)

    def test_it_takes_colours_in_the_order_it_was_trained_with(self, keras, assets):
        """Its features agree with those of a VGG-19, whose order is known, more than when red and blue are swapped."""
        rgb = self.pictures(assets, 16, 96)
        weights = assets / "vgg" / "vgg19_caffe_conv1_1-conv4_1_f16.safetensors"
        wanted = load_encoder(weights, "vgg19", ("relu4_1",), CPU)(rgb)["relu4_1"]
        agreements = []
        for shown in (rgb, rgb.flip(1)):
            maps = keras.network.net(keras.network.scaling_layer(2 * shown - 1))
            agreements.append([self.agreement(features, wanted) for features in maps[:6]])
        assert all(ours > swapped for ours, swapped in zip(*agreements, strict=True))

    def agreement(self, ours: Tensor, theirs: Tensor) -> float:
        """Linear centred kernel alignment (Kornblith et al. 2019) over 6 x 6 places of each picture."""
        rows = [F.adaptive_avg_pool2d(maps, 6).permute(0, 2, 3, 1).flatten(0, 2) for maps in (ours, theirs)]
        one, other = (values - values.mean(0) for values in rows)
        return ((one.T @ other).norm() ** 2 / ((one.T @ one).norm() * (other.T @ other).norm())).item()

    def test_its_heads_are_the_published_ones(self, keras, assets):
        heads = torch.load(assets / "lpips" / "v0.1" / "squeeze.pth", map_location="cpu", weights_only=True)
        own = keras.network.state_dict()
        assert len(heads) == 7 and all(torch.equal(own[key], value) for key, value in heads.items())

    def test_ranks_light_noise_before_heavy_noise_and_heavy_blur(self, keras, assets):
        for rgb in self.pictures(assets, 3, 128):
            light, heavy = keras(rgb, noised(rgb, 0.02)), keras(rgb, blurred(rgb, 4.0))
            assert 0 < light < keras(rgb, noised(rgb, 0.1)) < keras(rgb, noised(rgb, 0.3)) and light < heavy
            assert keras(rgb, 0.9 * rgb) < heavy

    def test_says_that_it_is_not_the_published_one(self, keras):
        assert keras.source == (
            "LPIPS 0.1 squeeze on squeezenet1_1_keras_tf_notop.h5, not the published backbone, found in the setting "
            "lpips-backbone; input -1..1 unless said otherwise"
        )
