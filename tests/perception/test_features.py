from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from ins3d.perception.features import PerceptualFeatures, conv_layers, network_of

TinyVgg = Callable[..., dict[str, Tensor]]
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_1")


def torchvision_features(network: str, pooling: str = "max") -> nn.Sequential:
    """What torchvision.models.vgg16().features and vgg19().features are, without the classifier's 120 million weights."""
    vgg = torchvision.models.vgg
    layers = list(vgg.make_layers(vgg.cfgs[{"vgg16": "D", "vgg19": "E"}[network]], batch_norm=False))
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.ReLU):
            layers[index] = nn.ReLU()
        elif isinstance(layer, nn.MaxPool2d) and pooling == "average":
            layers[index] = nn.AvgPool2d(2)
    return nn.Sequential(*layers)


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

    def test_of_the_compact_encoder_are_eight_of_the_same_names(self):
        # Blocks of 2, 2, 3 and 1 convolutions; every name is one of VGG-19's, so that layers mean the same in both.
        names = conv_layers("compact")
        assert list(names) == [f"relu{name}" for name in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1")]
        assert list(names.values()) == [0, 2, 5, 7, 10, 12, 14, 17]
        assert set(names) < set(conv_layers("vgg19"))


class TestPerceptualFeatures:
    @pytest.mark.parametrize(
        ("network", "layers", "pooling"),
        [
            ("vgg19", ("relu1_1", "relu3_4", "relu5_1"), "max"),
            ("vgg16", ("relu3_3", "relu4_3"), "max"),
            ("vgg19", ("relu2_1", "relu3_1", "relu4_1"), "average"),
        ],
    )
    def test_equals_torchvision_run_up_to_the_same_index(self, network, layers, pooling, images: Tensor):
        reference = torchvision_features(network, pooling)
        state = {f"features.{key}": value for key, value in reference.state_dict().items()}
        maps = PerceptualFeatures(state, layers, "random", pooling)(images)
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

    @pytest.mark.parametrize("pooling", ["max", "average"])
    def test_normalised_kind_equals_an_independent_loop(self, pooling, tiny_vgg: TinyVgg, random: torch.Generator):
        state = tiny_vgg("vgg19", normalised=True, last=10)
        # Odd sides, so that the last pooling window of a row is a half one.
        image = torch.rand(1, 3, 11, 9, generator=random)
        layers = ("relu1_1", "relu2_2", "relu3_1")
        maps = PerceptualFeatures(state, layers, "tiny", pooling)(image)
        expected = slow_normalised_vgg(state, image[0].double().numpy(), pooling)
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

    def test_compact_kind_is_a_vgg_of_eight_convolutions(self, tiny_vgg: TinyVgg, images: Tensor):
        state = tiny_vgg("compact")
        features = PerceptualFeatures(state, ("relu3_3", "relu4_1"), source="tiny")
        assert features.network == "compact" and features.walk == list(conv_layers("compact"))
        hidden = (images - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]
        for name, index in conv_layers("compact").items():
            if name in ("relu2_1", "relu3_1", "relu4_1"):
                hidden = nn.functional.max_pool2d(hidden, 2)
            hidden = nn.functional.pad(hidden, (1, 1, 1, 1), mode="reflect")
            kernel, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            hidden = nn.functional.conv2d(hidden, kernel, bias).relu()
            if name in features.layers:
                torch.testing.assert_close(features(images)[name], hidden)

    def test_takes_kernels_in_half_precision(self, tiny_vgg: TinyVgg, images: Tensor):
        state = tiny_vgg("compact")
        exact = PerceptualFeatures(state, STYLE_LAYERS, source="tiny")(images)
        half = PerceptualFeatures({key: value.half() for key, value in state.items()}, STYLE_LAYERS, source="tiny")(images)
        for name in STYLE_LAYERS:
            assert half[name].dtype == torch.float32
            assert 0 < (half[name] - exact[name]).norm() < 0.005 * exact[name].norm()

    def test_gives_only_the_layers_asked_for_and_the_same_values(self, tiny_vgg: TinyVgg, images: Tensor):
        features = PerceptualFeatures(tiny_vgg(), STYLE_LAYERS, source="tiny")
        some = features(images, ("relu1_2", "relu2_2"))
        assert set(some) == {"relu1_2", "relu2_2"}
        torch.testing.assert_close(some["relu2_2"], features(images)["relu2_2"])

    def test_computes_no_layer_below_the_deepest_one_asked_for(self, tiny_vgg: TinyVgg, images: Tensor):
        features = PerceptualFeatures(tiny_vgg(), STYLE_LAYERS, source="tiny")
        assert list(features.convs) == features.walk and features.walk[-1] == "relu4_1"
        ran = []
        for name in features.walk:
            features.convs[name].register_forward_hook(lambda *_, name=name: ran.append(name))
        features(images, ("relu2_1", "relu1_2"))
        assert ran == ["relu1_1", "relu1_2", "relu2_1"]

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

    @pytest.mark.parametrize("pooling", ["max", "average"])
    @pytest.mark.parametrize("normalised", [False, True])
    def test_gradients_reach_the_images_and_equal_finite_differences(self, normalised, pooling, tiny_vgg: TinyVgg, random):
        features = PerceptualFeatures(tiny_vgg("vgg19", normalised), ("relu2_1",), "tiny", pooling).double()
        features.precision = torch.float64
        image = torch.rand(1, 3, 8, 8, generator=random, dtype=torch.float64)
        probe = torch.rand(1, 5, 4, 4, generator=random)
        direction = torch.randn(1, 3, 8, 8, generator=random, dtype=torch.float64)

        def loss(image: Tensor) -> Tensor:
            return (features(image)["relu2_1"] * probe).sum()

        wanted = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(wanted), wanted)
        # The maps come out in float32: a smaller step drowns in its rounding, a larger one meets the kinks of the ReLUs.
        step = 1e-4
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

    def test_names_the_layers_of_the_compact_encoder_when_asked_for_a_deeper_one(self, tiny_vgg: TinyVgg):
        with pytest.raises(ValueError, match=r"^compact has no layer relu5_1; it has relu1_1, .*, relu3_3, relu4_1\.$"):
            PerceptualFeatures(tiny_vgg("compact"), ("relu5_1",), source="tiny")

    def test_refuses_a_kernel_that_does_not_take_what_the_one_before_gives(self, tiny_vgg: TinyVgg):
        state = tiny_vgg("vgg19", last=5) | {"features.2.weight": torch.zeros(4, 6, 3, 3)}
        with pytest.raises(ValueError, match=r"^tiny: features\.2 "):
            PerceptualFeatures(state, ("relu2_1",), source="tiny")

    def test_refuses_a_kernel_that_is_no_kernel(self, tiny_vgg: TinyVgg):
        state = tiny_vgg("vgg19", last=2) | {"features.2.weight": torch.zeros(4)}
        with pytest.raises(ValueError, match=r"^tiny: features\.2 "):
            PerceptualFeatures(state, ("relu1_2",), source="tiny")

    def test_names_a_bias_that_is_missing(self, tiny_vgg: TinyVgg):
        state = {key: value for key, value in tiny_vgg("vgg19", last=2).items() if key != "features.2.bias"}
        with pytest.raises(ValueError, match=r"^tiny: features\.2\.bias is missing"):
            PerceptualFeatures(state, ("relu1_2",), source="tiny")

    def test_refuses_a_kernel_that_is_not_square(self, tiny_vgg: TinyVgg):
        state = tiny_vgg("vgg19", last=2) | {"features.2.weight": torch.zeros(4, 4, 3, 2)}
        message = (
            r"^tiny: features\.2 has a kernel of shape \(4, 4, 3, 2\) and a bias of \(4,\), where \(outputs, 4, 3, 3\) and "
            r"\(outputs,\) were expected; fetch the file again\.$"
        )
        with pytest.raises(ValueError, match=message):
            PerceptualFeatures(state, ("relu1_2",), source="tiny")


class TestNetworkOf:
    def test_reads_the_network_off_the_file(self, tiny_vgg: TinyVgg):
        assert network_of(tiny_vgg("vgg16")) == "vgg16"
        assert network_of(tiny_vgg("vgg19")) == "vgg19"
        assert network_of(tiny_vgg("vgg19", last=19)) == "vgg19"
        assert network_of(tiny_vgg("compact")) == "compact"


def slow_normalised_vgg(state: dict[str, Tensor], image: np.ndarray, pooling: str) -> dict[str, np.ndarray]:
    """AdaIN's encoder to relu3_1, written out: 1x1 convolution, then reflection padding and ceil-mode pooling."""
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
        reduce = np.max if pooling == "max" else np.mean
        cells = [
            [reduce(hidden[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2], (1, 2)) for column in range(columns)]
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
