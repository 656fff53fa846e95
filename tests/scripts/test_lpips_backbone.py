"""The backbone of keras-squeezenet for LPIPS, and the script that writes it."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.lpips import PerceptualDistance, load_lpips
from ins3d.perception.weights import load_encoder
from tests.perception.test_lpips import CPU, blurred, noised
from tests.scripts.loading import load_script

h5py = pytest.importorskip("h5py")
SCRIPT = load_script("make/lpips_backbone")
KERAS_FILE = Path("lpips") / "backbones" / "squeezenet1_1_keras_tf_notop.h5"


def test_a_folded_convolution_sees_what_caffe_showed(random):
    kernel, bias = torch.randn(4, 3, 3, 3, generator=random), torch.randn(4, generator=random)
    shift, scale = torch.tensor([-0.03, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.45])
    rgb = torch.rand(3, 5, 6, generator=random)
    scaled = torch.stack([(2 * rgb[colour] - 1 - shift[colour]) / scale[colour] for colour in range(3)])
    bgr = torch.stack([255 * rgb[2] - 104, 255 * rgb[1] - 117, 255 * rgb[0] - 123])
    wanted = F.conv2d(bgr[None], kernel, bias)
    torch.testing.assert_close(
        F.conv2d(scaled[None], *SCRIPT.fold_caffe_input(kernel, bias, shift, scale)), wanted, rtol=1e-4, atol=1e-3
    )


@pytest.mark.weights
class TestKerasFile:
    @pytest.fixture
    def keras(self, assets: Path, tmp_path: Path) -> PerceptualDistance:
        SCRIPT.main(assets / KERAS_FILE, tmp_path / "squeezenet1_1_caffe.pth")
        return load_lpips("squeeze", tmp_path / "squeezenet1_1_caffe.pth", CPU)

    def pictures(self, assets: Path, number: int, side: int) -> Tensor:
        files = sorted((assets / "images" / "kodak").glob("*.png"))[:number]
        small = [resize_long_side(read_rgb(path, "test"), side)[None] for path in files]
        return torch.cat([F.interpolate(rgb, size=(side, side)) for rgb in small])

    def test_its_first_layers_are_the_files(self, keras, assets):
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

    def test_says_that_it_may_not_be_the_published_one(self, keras):
        assert keras.source.startswith("LPIPS 0.1 squeeze on squeezenet1_1_caffe.pth (maybe not the published backbone)")
