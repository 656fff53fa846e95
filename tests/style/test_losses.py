from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.losses import (
    gram_loss,
    grams_of,
    nearest_neighbour_loss,
    relative_gram_loss,
    sliced_wasserstein_loss,
    statistics_loss,
    statistics_of,
    unit_vectors,
)
from ins3d.style.losses import (
    BOLD_SHARES,
    GRAM_LAYERS,
    LOSSES,
    STYLE_LOSSES,
    layers_of,
    loss_weights,
    parse_style_losses,
    pyramid_features,
)

Maps = dict[str, Tensor]
TinyVgg = Callable[..., dict[str, Tensor]]
NAMES = tuple(STYLE_LOSSES)
EVERY_NAME = "content, gram, gram_bold, gram_chw, gram_hw, statistics, nnfm, swd, remd, coherence, self_similarity, tv"


@pytest.fixture
def features(tiny_vgg: TinyVgg) -> PerceptualFeatures:
    layers = tuple(dict.fromkeys(layer for loss in STYLE_LOSSES.values() for layer in loss.layers))
    return PerceptualFeatures(tiny_vgg("vgg16"), layers, source="tiny")


@pytest.fixture
def style(features: PerceptualFeatures, random: torch.Generator) -> Maps:
    return features(torch.rand(1, 3, 40, 48, generator=random))


@pytest.fixture
def maps(features: PerceptualFeatures, random: torch.Generator) -> Maps:
    return features(0.4 * torch.rand(2, 3, 32, 32, generator=random))


def compared(name: str, maps: Maps, style: Maps, mask: Tensor | None = None) -> Tensor:
    """As the style stage does: the style's side of the comparison once, and the layers that the loss looks at."""
    loss = STYLE_LOSSES[name]
    kept = loss.keep({layer: style[layer] for layer in loss.layers})
    seen = {layer: maps[layer] for layer in loss.layers}
    return loss.compare(seen, kept, mask, torch.Generator().manual_seed(2))


def test_bold_shares_are_of_blocks_at_every_scale_and_layer(random: torch.Generator):
    grams, style = ({layer: torch.rand(1, 3, 3, generator=random) for layer in ("relu2_1", "relu4_2/2")} for _ in range(2))
    fine, coarse = (relative_gram_loss({layer: grams[layer]}, {layer: style[layer]}) for layer in grams)
    found = relative_gram_loss(grams, style, BOLD_SHARES)
    torch.testing.assert_close(found, (2 * fine + 16 * coarse) / 18)


def bold_gram_loss(grams: Maps, targets: Maps) -> Tensor:
    """Every layer's own distance, counted 1 2 8 16 from fine to coarse."""
    apart = [relative_gram_loss({layer: grams[layer]}, {layer: targets[layer]}) for layer in GRAM_LAYERS]
    return (apart[0] + 2 * apart[1] + 8 * apart[2] + 16 * apart[3]) / 27


class TestStyleLosses:
    def test_all_are_registered_content_and_total_variation_alike(self):
        assert ", ".join(LOSSES) == EVERY_NAME
        assert {name: loss.pulls_to for name, loss in LOSSES.items() if loss.pulls_to != "style"} == {
            "content": "content", "self_similarity": "content", "tv": "neither",
        }  # fmt: skip

    @pytest.mark.parametrize("name", NAMES)
    def test_is_zero_at_the_style_and_nowhere_else(self, name: str, maps: Maps, style: Maps):
        elsewhere = compared(name, maps, style).item()
        assert elsewhere > 0 and abs(compared(name, style, style).item()) < 1e-4 * elsewhere

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("name", NAMES)
    def test_is_the_loss_of_its_name_at_its_layers(self, name: str, masked: bool, maps: Maps, style: Maps):
        mask = torch.ones(2, 1, 32, 32)
        mask[..., :16] = 0
        used = mask if masked else None
        gram_layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_1")
        seen, wanted = ({layer: which[layer] for layer in gram_layers} for which in (maps, style))
        block, style_block = ({f"relu3_{i}": which[f"relu3_{i}"] for i in (1, 2, 3)} for which in (maps, style))
        generator = torch.Generator().manual_seed(2)
        expected = {
            "gram": lambda: relative_gram_loss(grams_of(seen, used), grams_of(wanted)),
            "gram_bold": lambda: bold_gram_loss(grams_of(seen, used), grams_of(wanted)),
            "gram_chw": lambda: gram_loss(grams_of(seen, used), grams_of(wanted)),
            "gram_hw": lambda: gram_loss(grams_of(seen, used, "hw"), grams_of(wanted, norm="hw")),
            "statistics": lambda: statistics_loss(statistics_of(seen, used), statistics_of(wanted)),
            "nnfm": lambda: nearest_neighbour_loss(unit_vectors(block), unit_vectors(style_block), used),
            "swd": lambda: sliced_wasserstein_loss(seen, wanted, generator, used),
        }
        torch.testing.assert_close(compared(name, maps, style, used), expected[name]())

    def test_a_quarter_of_gram_hw_is_the_cvpr_papers(self, maps: Maps, features, random: torch.Generator):
        # Gatys et al. 2016, eq. 4, for pictures of one size: 1 / (4 C^2 M^2) * sum of squared differences of F F^T.
        style = features(torch.rand(1, 3, 32, 32, generator=random))
        one, expected = {layer: values[:1] for layer, values in maps.items()}, torch.zeros(())
        for layer in GRAM_LAYERS:
            found, wanted = one[layer][0].flatten(1), style[layer][0].flatten(1)
            channels, positions = found.shape
            difference = found @ found.T - wanted @ wanted.T
            expected = expected + (difference**2).sum() / (4 * channels**2 * positions**2)
        (weight,) = parse_style_losses(("gram_hw:0.25",)).values()
        torch.testing.assert_close(weight * compared("gram_hw", one, style), expected)

    @pytest.mark.parametrize("name", NAMES)
    def test_gradients_are_finite_and_reach_the_maps_it_looks_at(self, name: str, maps: Maps, style: Maps):
        wanted = {layer: values.clone().requires_grad_() for layer, values in maps.items()}
        compared(name, wanted, style).backward()
        reached = {layer for layer, values in wanted.items() if values.grad is not None}
        assert reached == set(STYLE_LOSSES[name].layers)
        for layer in reached:
            assert wanted[layer].grad.isfinite().all() and wanted[layer].grad.abs().max() > 0

    @pytest.mark.parametrize("encoder", ["vgg16", "vgg19", "compact"])
    @pytest.mark.parametrize("name", NAMES)
    def test_every_encoder_has_its_layers(self, name: str, encoder: str, tiny_vgg: TinyVgg):
        layers = STYLE_LOSSES[name].layers
        found = PerceptualFeatures(tiny_vgg(encoder), layers, source="tiny")(torch.rand(1, 3, 16, 16))
        assert tuple(found) == layers

    def test_layers_are_its_own_unless_they_are_chosen(self):
        assert layers_of("nnfm", ()) == ("relu3_1", "relu3_2", "relu3_3") and layers_of("gram", ()) == GRAM_LAYERS
        assert layers_of("nnfm", ("relu2_1",)) == ("relu2_1",) == layers_of("gram", ("relu2_1",))


class TestParseStyleLosses:
    def test_reads_weights_behind_colons(self):
        found = parse_style_losses(("gram:2", "nnfm", "swd:1e-2", "statistics:0"))
        assert found == {"gram": 2.0, "nnfm": 1.0, "swd": 0.01, "statistics": 0.0}
        assert list(found) == ["gram", "nnfm", "swd", "statistics"]

    @pytest.mark.parametrize("name", NAMES)
    def test_knows_every_loss(self, name: str):
        assert parse_style_losses((name,)) == {name: 1.0}

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ("gramm",),
                f"style-loss: there is no 'gramm' (did you mean gram?); choose among {EVERY_NAME}.",
            ),
            (
                ("gram", ":2"),
                f"style-loss: there is no ''; choose among {EVERY_NAME}.",
            ),
            (("gram", "tv:0.1"), "style-loss: tv has a weight of its own; set tv-weight."),
            (("content",), "style-loss: content has a weight of its own; set content-weight."),
            (("gram:much",), "style-loss: 'much' in 'gram:much' is not a number; write gram:0.5."),
            (("gram:1:2",), "style-loss: '1:2' in 'gram:1:2' is not a number; write gram:0.5."),
            (("gram", "nnfm:-1"), "style-loss: the weight of nnfm is -1.0; use 0 or more."),
            ((), f"style-loss: none is given; choose among {EVERY_NAME}."),
        ],
    )
    def test_refuses_what_it_does_not_understand(self, words: tuple[str, ...], message: str):
        with pytest.raises(ValueError) as error:
            parse_style_losses(words)
        assert str(error.value) == message

    @pytest.mark.parametrize("weight", ["nan", "inf"])
    def test_refuses_a_weight_that_is_not_finite(self, weight: str):
        with pytest.raises(ValueError, match=r"^style-loss: "):
            parse_style_losses((f"gram:{weight}",))

    def test_refuses_a_loss_that_is_named_twice(self):
        with pytest.raises(ValueError, match=r"^style-loss: .*gram"):
            parse_style_losses(("gram:2", "gram"))


class TestLossWeights:
    def test_are_those_of_the_words_between_the_contents_and_total_variations(self):
        assert list(loss_weights(("nnfm:0.5", "gram"), content=0.1, tv=0.2).items()) == [
            ("content_loss", 0.1), ("nnfm_loss", 0.5), ("gram_loss", 1.0), ("tv_loss", 0.2),
        ]  # fmt: skip

    def test_of_0_alone_are_refused(self):
        with pytest.raises(ValueError) as error:
            loss_weights(("gram:0", "nnfm:0"), content=1.0, tv=1.0)
        assert str(error.value) == "style-loss: every weight is 0; give one of them a weight above 0."


class TestPyramidFeatures:
    def test_names_say_layer_and_scale(self, features: PerceptualFeatures, random: torch.Generator):
        pictures = torch.rand(2, 3, 64, 64, generator=random)
        found = pyramid_features(features, pictures, ("relu1_2", "relu3_3"), (1, 2, 4))
        assert {name: tuple(values.shape) for name, values in found.items()} == {
            "relu1_2": (2, 4, 64, 64),
            "relu3_3": (2, 6, 16, 16),
            "relu1_2/2": (2, 4, 32, 32),
            "relu3_3/2": (2, 6, 8, 8),
            "relu1_2/4": (2, 4, 16, 16),
            "relu3_3/4": (2, 6, 4, 4),
        }

    def test_values_are_those_of_the_picture_averaged_over_squares(self, features, random: torch.Generator):
        pictures = torch.rand(2, 3, 32, 48, generator=random)
        found = pyramid_features(features, pictures, ("relu1_2", "relu2_2"), (1, 2, 4))
        for scale in (1, 2, 4):
            cells = pictures.reshape(2, 3, 32 // scale, scale, 48 // scale, scale).mean((3, 5))
            for layer, expected in features(cells, ("relu1_2", "relu2_2")).items():
                name = layer if scale == 1 else f"{layer}/{scale}"
                torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-4)

    def test_of_scale_1_are_the_features(self, features: PerceptualFeatures, random: torch.Generator):
        pictures = torch.rand(1, 3, 33, 26, generator=random)
        torch.testing.assert_close(
            pyramid_features(features, pictures, ("relu2_2",), (1,)), features(pictures, ("relu2_2",)), atol=0, rtol=0
        )

    def test_make_every_loss_a_multi_scale_one(self, features: PerceptualFeatures, random: torch.Generator):
        # SOS (SGSST): the statistics at each scale, summed.
        layers, scales = ("relu1_2", "relu2_2"), (1, 2)
        pictures = torch.rand(2, 2, 3, 32, 32, generator=random)
        seen, wanted = (pyramid_features(features, which, layers, scales) for which in pictures)
        together = statistics_loss(statistics_of(seen), statistics_of(wanted))
        halved = [which.reshape(2, 3, 16, 2, 16, 2).mean((3, 5)) for which in pictures]
        alone = [
            statistics_loss(*(statistics_of(features(picture, layers)) for picture in which)) for which in (pictures, halved)
        ]
        torch.testing.assert_close(together, alone[0] + alone[1])

    @pytest.mark.parametrize("sizes", [((45, 30), (64, 64)), ((33, 47), (32, 32))])
    @pytest.mark.parametrize("normalised", [False, True])
    def test_nearest_neighbours_are_found_whatever_the_sizes(self, normalised, sizes, tiny_vgg: TinyVgg, random):
        # relu1_2 at half the size is as large as relu2_2, or, where poolings round up, is not.
        layers, scales = ("relu1_2", "relu2_1", "relu2_2"), (1, 2)
        features = PerceptualFeatures(tiny_vgg("vgg19", normalised, last=10), layers, source="tiny")
        style, picture = (
            pyramid_features(features, torch.rand(1, 3, *size, generator=random), layers, scales) for size in sizes
        )
        assert STYLE_LOSSES["nnfm"].compare(picture, STYLE_LOSSES["nnfm"].keep(style), None, random).isfinite()

    def test_nearest_neighbours_join_a_block_at_one_scale_and_no_more(self, features: PerceptualFeatures):
        maps = pyramid_features(features, torch.rand(1, 3, 32, 32), ("relu1_2", "relu3_1", "relu3_2"), (1, 4))
        # relu1_2 of the picture at a quarter of its size has the size of the third block, and is another thing.
        assert maps["relu1_2/4"].shape[2:] == maps["relu3_1"].shape[2:]
        assert len(STYLE_LOSSES["nnfm"].keep(maps)) == 4

    def test_gradients_reach_the_picture_from_every_scale(self, features: PerceptualFeatures, random: torch.Generator):
        pictures = torch.rand(1, 3, 32, 32, generator=random, requires_grad=True)
        found = pyramid_features(features, pictures, ("relu1_2",), (1, 2, 4))
        for values in found.values():
            (gradient,) = torch.autograd.grad(values.sum(), pictures, retain_graph=True)
            assert gradient.isfinite().all() and gradient.abs().max() > 0
