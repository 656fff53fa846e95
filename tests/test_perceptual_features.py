import urllib.error
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from ins3d.perceptual_features import (
    PerceptualFeatures,
    WeightsFile,
    conv_layers,
    find_weights,
    load_perceptual_features,
    load_weights,
    network_of,
)

TinyVgg = Callable[..., dict[str, Tensor]]
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_1")
NORMALISED = "vgg19_normalised_conv1_1-conv4_1_f16.safetensors"
CAFFE_SHALLOW = "vgg19_caffe_conv1_1-conv4_1_f16.safetensors"
CAFFE_DEEP = "vgg19_caffe_conv1_1-conv5_1_q8.safetensors"


def torchvision_features(network: str) -> nn.Sequential:
    """What torchvision.models.vgg16().features and vgg19().features are, without the classifier's 120 million weights."""
    vgg = torchvision.models.vgg
    layers = vgg.make_layers(vgg.cfgs[{"vgg16": "D", "vgg19": "E"}[network]], batch_norm=False)
    return nn.Sequential(*(nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in layers))


@pytest.fixture
def images(random: torch.Generator) -> Tensor:
    return torch.rand(2, 3, 33, 26, generator=random)


class TestLayerNames:
    @pytest.mark.parametrize("network", ["vgg16", "vgg19"])
    def test_are_the_convolutions_of_torchvision_in_order(self, network):
        features = torchvision_features(network)
        convs = [index for index, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
        assert list(conv_layers(network).values()) == convs
        block, conv, names = 1, 1, []
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                names.append(f"relu{block}_{conv}")
                conv += 1
            elif isinstance(layer, nn.MaxPool2d):
                block, conv = block + 1, 1
        assert list(conv_layers(network)) == names

    def test_stand_where_the_published_tables_say(self):
        # Spec 0.2 gives the index of the ReLU, which follows its convolution.
        assert [conv_layers("vgg16")[f"relu{name}"] + 1 for name in ("1_1", "2_2", "3_3", "4_3", "5_1")] == [
            1,
            8,
            15,
            22,
            25,
        ]
        assert [conv_layers("vgg19")[f"relu{name}"] + 1 for name in ("1_2", "2_1", "3_4", "4_1", "5_1")] == [
            3,
            6,
            17,
            20,
            29,
        ]


class TestPerceptualFeatures:
    @pytest.mark.parametrize(
        ("network", "layers"), [("vgg19", ("relu1_1", "relu3_4", "relu5_1")), ("vgg16", ("relu3_3", "relu4_3"))]
    )
    def test_equals_torchvision_run_up_to_the_same_index(self, network, layers, images: Tensor):
        reference = torchvision_features(network)
        state = {f"features.{key}": value for key, value in reference.state_dict().items()}
        maps = PerceptualFeatures(state, layers, source="random")(images)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        hidden = (images - mean[:, None, None]) / std[:, None, None]
        expected = {}
        with torch.no_grad():
            for index, layer in enumerate(reference[: conv_layers(network)[layers[-1]] + 2]):
                hidden = layer(hidden)
                for name in layers:
                    if index == conv_layers(network)[name] + 1:
                        expected[name] = hidden
        assert set(maps) == set(layers)
        for name in layers:
            assert expected[name].std() > 0
            torch.testing.assert_close(maps[name], expected[name], atol=1e-5, rtol=1e-5)

    def test_normalised_kind_equals_an_independent_loop(self, tiny_vgg: TinyVgg, random: torch.Generator):
        state = tiny_vgg("vgg19", normalised=True, last=10)
        # Odd sides, so that the last pooling window of a row is a half one.
        image = torch.rand(1, 3, 11, 9, generator=random)
        layers = ("relu1_1", "relu2_2", "relu3_1")
        maps = PerceptualFeatures(state, layers, source="tiny")(image)
        expected = slow_normalised_vgg(state, image[0].double().numpy())
        for name in layers:
            np.testing.assert_allclose(maps[name][0].numpy(), expected[name], atol=1e-5)

    @pytest.mark.parametrize("normalised", [False, True])
    def test_halves_the_size_at_every_block_and_takes_channels_from_the_weights(self, normalised: bool, tiny_vgg: TinyVgg):
        layers = ("relu1_2", "relu2_1", "relu3_4", "relu4_2", "relu5_4")
        features = PerceptualFeatures(tiny_vgg("vgg19", normalised), layers, source="tiny")
        shapes = {name: tuple(found.shape) for name, found in features(torch.rand(2, 3, 40, 33)).items()}
        # Without a remainder: 40, 20, 10, 5 and then 2 or, rounded up, 3; 33 becomes 16, 8, 4, 2 or 17, 9, 5, 3.
        widths, last = ((17, 9, 5, 3), 3) if normalised else ((16, 8, 4, 2), 2)
        assert shapes == {
            "relu1_2": (2, 4, 40, 33),
            "relu2_1": (2, 5, 20, widths[0]),
            "relu3_4": (2, 6, 10, widths[1]),
            "relu4_2": (2, 7, 5, widths[2]),
            "relu5_4": (2, 8, last, widths[3]),
        }

    def test_gives_only_the_layers_asked_for_and_the_same_values(self, tiny_vgg: TinyVgg, images: Tensor):
        features = PerceptualFeatures(tiny_vgg(), STYLE_LAYERS, source="tiny")
        some = features(images, ("relu1_2", "relu2_2"))
        assert set(some) == {"relu1_2", "relu2_2"}
        torch.testing.assert_close(some["relu2_2"], features(images)["relu2_2"])

    def test_gives_a_single_deep_layer(self, tiny_vgg: TinyVgg, images: Tensor):
        features = PerceptualFeatures(tiny_vgg(), STYLE_LAYERS, source="tiny")
        assert features(images, ("relu4_1",))["relu4_1"].shape == (2, 7, 4, 3)

    def test_values_are_not_negative(self, tiny_vgg: TinyVgg, images: Tensor):
        maps = PerceptualFeatures(tiny_vgg(), STYLE_LAYERS, source="tiny")(images)
        assert all(found.min() == 0 for found in maps.values())

    def test_stays_in_eval_mode_and_cannot_be_trained(self, tiny_vgg: TinyVgg):
        owner = nn.Module()
        owner.features = PerceptualFeatures(tiny_vgg(), STYLE_LAYERS, source="tiny")
        owner.train()
        assert not any(module.training for module in owner.features.modules())
        assert not any(parameter.requires_grad for parameter in owner.parameters())

    @pytest.mark.parametrize("normalised", [False, True])
    def test_gradients_reach_the_images_and_equal_finite_differences(self, normalised, tiny_vgg: TinyVgg, random):
        features = PerceptualFeatures(tiny_vgg("vgg19", normalised), ("relu2_1",), source="tiny").double()
        features.precision = torch.float64
        image = torch.rand(1, 3, 8, 8, generator=random, dtype=torch.float64)
        probe = torch.rand(1, 5, 4, 4, generator=random)
        direction = torch.randn(1, 3, 8, 8, generator=random, dtype=torch.float64)

        def loss(image: Tensor) -> Tensor:
            return (features(image)["relu2_1"] * probe).sum()

        wanted = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(wanted), wanted)
        # The maps come out in float32, so the step is as large as its rounding allows.
        step = 1e-3
        slope = (loss(image + step * direction) - loss(image - step * direction)) / (2 * step)
        assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=2e-2)

    def test_fast_precision_gives_float32_maps_near_the_exact_ones(self, tiny_vgg: TinyVgg, images: Tensor):
        state = tiny_vgg()
        exact = PerceptualFeatures(state, STYLE_LAYERS, source="tiny")(images)
        fast = PerceptualFeatures(state, STYLE_LAYERS, source="tiny").use_fast_precision(torch.device("cpu"))(images)
        for name in STYLE_LAYERS:
            assert fast[name].dtype == torch.float32
            assert (fast[name] - exact[name]).norm() < 0.05 * exact[name].norm()

    @pytest.mark.parametrize("normalised", [False, True])
    def test_works_at_its_smallest_side(self, normalised: bool, tiny_vgg: TinyVgg):
        features = PerceptualFeatures(tiny_vgg("vgg19", normalised), ("relu3_1", "relu4_1"), source="tiny")
        # relu4_1 stands behind three poolings: 2 * 8.
        assert features.smallest_side == 16
        maps = features(torch.rand(1, 3, 16, 16))
        assert maps["relu4_1"].shape[2:] == (2, 2)

    def test_names_the_layers_it_has_when_asked_for_another(self, tiny_vgg: TinyVgg):
        with pytest.raises(
            ValueError, match=r"^vgg16 has no layer relu3_4; it has relu1_1, relu1_2, relu2_1, .*, relu5_3\.$"
        ):
            PerceptualFeatures(tiny_vgg("vgg16"), ("relu1_1", "relu3_4"), source="tiny")

    def test_names_the_end_of_a_file_that_is_too_shallow(self, tiny_vgg: TinyVgg):
        message = r"^tiny: features\.21\.weight is missing \(the file ends at features\.19\); use deeper weights\.$"
        with pytest.raises(ValueError, match=message):
            PerceptualFeatures(tiny_vgg("vgg19", last=19), ("relu1_1", "relu4_2"), source="tiny")

    def test_refuses_a_kernel_that_is_not_square(self, tiny_vgg: TinyVgg):
        state = tiny_vgg("vgg19", last=2) | {"features.2.weight": torch.zeros(4, 4, 3, 2)}
        message = r"^tiny: features\.2 has shapes \(4, 4, 3, 2\) and \(4,\), which do not fit\.$"
        with pytest.raises(ValueError, match=message):
            PerceptualFeatures(state, ("relu1_2",), source="tiny")


class TestNetworkOf:
    def test_reads_the_network_off_the_file(self, tiny_vgg: TinyVgg):
        assert network_of(tiny_vgg("vgg16")) == "vgg16"
        assert network_of(tiny_vgg("vgg19")) == "vgg19"
        assert network_of(tiny_vgg("vgg19", last=19)) == "vgg19"


class TestFindWeights:
    @pytest.fixture(autouse=True)
    def places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
        """One file at every place that is searched, in the order of the search."""
        places = {
            "setting": tmp_path / "mine.pth",
            "variable": tmp_path / "env.pth",
            "cache": tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth",
            "assets": tmp_path / "assets" / "vgg" / NORMALISED,
            "deep assets": tmp_path / "assets" / "vgg" / CAFFE_DEEP,
        }
        for path in places.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        monkeypatch.setenv("INS3D_PERCEPTUAL_WEIGHTS", str(places["variable"]))
        monkeypatch.setenv("INS3D_ASSETS", str(tmp_path / "assets"))
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
        return places

    def test_takes_the_setting_first(self, places: dict[str, Path]):
        found = find_weights(places["setting"], "vgg19", STYLE_LAYERS)
        assert found == WeightsFile(places["setting"], "the setting perceptual-weights")

    def test_then_the_environment_variable(self, places: dict[str, Path]):
        found = find_weights(None, "vgg19", STYLE_LAYERS)
        assert found == WeightsFile(places["variable"], "INS3D_PERCEPTUAL_WEIGHTS")

    def test_then_torchs_cache(self, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS")
        assert find_weights(None, "vgg19", STYLE_LAYERS) == WeightsFile(places["cache"], "torch's cache")

    def test_then_the_assets_with_the_deeper_file_where_it_is_needed(self, places, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS")
        places["cache"].unlink()
        assert find_weights(None, "vgg19", STYLE_LAYERS) == WeightsFile(places["assets"], "the development assets")
        assert find_weights(None, "vgg19", ("relu1_1", "relu5_1")).path == places["deep assets"]

    def test_then_the_download_and_says_what_to_do_without_a_network(self, places, monkeypatch: pytest.MonkeyPatch):
        def offline(*_, **__):
            raise urllib.error.URLError("no network")

        monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS")
        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
        for name in ("cache", "assets", "deep assets"):
            places[name].unlink()
        message = (
            r"^perceptual-weights: no VGG weights here, and vgg16-397923af\.pth could not be downloaded \(.*no network.*\); "
            r"fetch it elsewhere and give its path with --pipeline\.model\.perceptual-weights or INS3D_PERCEPTUAL_WEIGHTS\.$"
        )
        with pytest.raises(FileNotFoundError, match=message):
            find_weights(None, "vgg16", ("relu1_2",))

    def test_names_a_setting_whose_file_is_missing_and_does_not_look_elsewhere(self, tmp_path: Path):
        remedy = r"is not a file; give VGG weights as \.pth or \.safetensors\.$"
        with pytest.raises(FileNotFoundError, match=rf"^perceptual-weights: .*nowhere\.pth {remedy}"):
            find_weights(tmp_path / "nowhere.pth", "vgg19", STYLE_LAYERS)

    def test_names_the_variable_whose_file_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("INS3D_PERCEPTUAL_WEIGHTS", str(tmp_path / "nowhere.pth"))
        with pytest.raises(FileNotFoundError, match=r"^INS3D_PERCEPTUAL_WEIGHTS: .*nowhere\.pth is not a file; give VGG"):
            find_weights(None, "vgg19", STYLE_LAYERS)


class TestLoadWeights:
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_reads_features_and_leaves_the_classifier(self, suffix: str, tiny_vgg: TinyVgg, tmp_path: Path):
        state = tiny_vgg("vgg19", last=5)
        path = tmp_path / f"weights{suffix}"
        (torch.save if suffix == ".pth" else save_file)(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
        found = load_weights(WeightsFile(path, "test"))
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)

    def test_makes_8_bit_kernels_whole_again(self, tiny_vgg: TinyVgg, tmp_path: Path):
        state = tiny_vgg("vgg19", last=2)
        kernel = state.pop("features.2.weight")
        scale, smallest = (kernel.max() - kernel.min()) / 255, kernel.min()
        state["features.2.weight_q8"] = ((kernel - smallest) / scale).round().byte()
        state["features.2.weight_scale_min"] = torch.stack([scale, smallest])
        save_file(state, tmp_path / "q8.safetensors")
        found = load_weights(WeightsFile(tmp_path / "q8.safetensors", "test"))
        assert set(found) == {f"features.{index}.{kind}" for index in (0, 2) for kind in ("weight", "bias")}
        torch.testing.assert_close(found["features.2.weight"], kernel, atol=0.501 * scale.item(), rtol=0)

    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_refuses_a_truncated_file(self, suffix: str, tiny_vgg: TinyVgg, tmp_path: Path):
        path = tmp_path / f"weights{suffix}"
        (torch.save if suffix == ".pth" else save_file)(tiny_vgg("vgg19", last=5), path)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ValueError, match=rf"weights\{suffix} is not a whole weights file \(.*\); fetch it again\.$"):
            load_weights(WeightsFile(path, "test"))

    @pytest.mark.parametrize(
        "content", [{"conv1.weight": torch.zeros(1)}, {}, [torch.zeros(1)], torch.zeros(3), {0: torch.zeros(1)}]
    )
    def test_refuses_a_file_of_something_else(self, content, tmp_path: Path):
        torch.save(content, tmp_path / "other.pth")
        message = r"other\.pth holds no VGG weights: expected torchvision's names, features\.0\.weight and so on\.$"
        with pytest.raises(ValueError, match=message):
            load_weights(WeightsFile(tmp_path / "other.pth", "test"))

    def test_does_not_run_what_a_pickle_asks_for(self, tmp_path: Path):
        torch.save({"features.0.weight": Path("/")}, tmp_path / "evil.pth")
        with pytest.raises(ValueError, match=r"evil\.pth is not a whole weights file"):
            load_weights(WeightsFile(tmp_path / "evil.pth", "test"))


class TestLoadPerceptualFeatures:
    def test_says_which_network_from_which_file_found_where(self, tiny_vgg: TinyVgg, tmp_path: Path):
        save_file(tiny_vgg("vgg19", normalised=True), tmp_path / "mine.safetensors")
        features = load_perceptual_features(tmp_path / "mine.safetensors", "vgg19", STYLE_LAYERS)
        expected = "vgg19 (filter-normalised) from mine.safetensors, found in the setting perceptual-weights"
        assert features.source == expected


@pytest.mark.weights
class TestRealWeights:
    @pytest.fixture
    def photograph(self, assets: Path) -> Tensor:
        path = assets / "content" / "amber.jpg"
        if not path.is_file():
            pytest.skip(f"{path} is missing; set INS3D_ASSETS")
        pixels = torch.from_numpy(np.asarray(imageio.imread(path))).permute(2, 0, 1)[None].float() / 255
        return torch.nn.functional.interpolate(pixels, size=(96, 96), mode="area")

    def real(self, assets: Path, name: str, layers: tuple[str, ...] = STYLE_LAYERS) -> PerceptualFeatures:
        if not (assets / "vgg" / name).is_file():
            pytest.skip(f"{assets / 'vgg' / name} is missing; set INS3D_ASSETS")
        return load_perceptual_features(assets / "vgg" / name, "vgg19", layers)

    @pytest.mark.parametrize("name", [NORMALISED, CAFFE_SHALLOW, CAFFE_DEEP])
    def test_have_the_channels_of_vgg19(self, name: str, assets: Path, photograph: Tensor):
        maps = self.real(assets, name)(photograph)
        assert [found.shape[1] for found in maps.values()] == [64, 128, 256, 512]

    def test_only_the_normalised_file_is_taken_for_normalised(self, assets: Path):
        assert self.real(assets, NORMALISED).normalised
        assert not self.real(assets, CAFFE_SHALLOW).normalised

    def test_filter_normalised_activations_are_near_1_on_a_photograph(self, assets: Path, photograph: Tensor):
        # So the input range, the channel order and the padding are the ones the file was made for.
        for name, found in self.real(assets, NORMALISED)(photograph).items():
            assert 0.5 < found.mean() < 2, name

    def test_8_bit_and_16_bit_files_of_one_network_agree(self, assets: Path, photograph: Tensor):
        shallow, deep = (self.real(assets, name)(photograph) for name in (CAFFE_SHALLOW, CAFFE_DEEP))
        for name in STYLE_LAYERS:
            assert (shallow[name] - deep[name]).norm() < 0.02 * shallow[name].norm(), name

    def test_the_deep_file_reaches_relu5_1_and_no_further(self, assets: Path, photograph: Tensor):
        assert self.real(assets, CAFFE_DEEP, ("relu5_1",))(photograph)["relu5_1"].shape == (1, 512, 6, 6)
        with pytest.raises(ValueError, match=r"features\.30\.weight is missing \(the file ends at features\.28\)"):
            self.real(assets, CAFFE_DEEP, ("relu5_2",))


def slow_normalised_vgg(state: dict[str, Tensor], image: np.ndarray) -> dict[str, np.ndarray]:
    """AdaIN's encoder to relu3_1, written out: 1x1 convolution, then reflection padding and ceil-mode max pooling."""
    weights = {key: value.double().numpy() for key, value in state.items()}

    def conv(hidden: np.ndarray, key: str) -> np.ndarray:
        kernel, bias = weights[f"features.{key}.weight"], weights[f"features.{key}.bias"]
        side = kernel.shape[2]
        rows, columns = hidden.shape[1] - side + 1, hidden.shape[2] - side + 1
        result = np.zeros((len(kernel), rows, columns))
        for row in range(rows):
            for column in range(columns):
                window = hidden[:, row : row + side, column : column + side]
                result[:, row, column] = (kernel * window).sum((1, 2, 3)) + bias
        return result

    def pooled(hidden: np.ndarray) -> np.ndarray:
        rows, columns = -(-hidden.shape[1] // 2), -(-hidden.shape[2] // 2)
        cells = [
            [hidden[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max((1, 2)) for column in range(columns)]
            for row in range(rows)
        ]
        return np.array(cells).transpose(2, 0, 1)

    hidden, maps = conv(image, "pre"), {}
    for step in ("0 relu1_1", "2 relu1_2", "pool", "5 relu2_1", "7 relu2_2", "pool", "10 relu3_1"):
        if step == "pool":
            hidden = pooled(hidden)
            continue
        key, name = step.split()
        hidden = maps[name] = np.maximum(conv(np.pad(hidden, ((0, 0), (1, 1), (1, 1)), mode="reflect"), key), 0)
    return maps
