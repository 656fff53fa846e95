from collections.abc import Callable

import pytest
import scipy.linalg
import torch
from pytest import approx
from torch import Tensor

from ins3d.evaluation.style_distances import (
    FRECHET_LAYER,
    JUDGED_LAYERS,
    STYLE_DISTANCES,
    StyleDistances,
    content_distance,
    distances_of_maps,
    frechet_distance,
    keep_style,
    moments_of,
    recognised,
    relative_statistics_distance,
    self_similarity,
)
from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.perception.features import PerceptualFeatures
from ins3d.perception.weights import load_encoder

Maps = dict[str, Tensor]
NAMES = ("gram", "statistics", "sifid", "swd")


@pytest.fixture
def features(tiny_vgg: Callable[..., dict[str, Tensor]]) -> PerceptualFeatures:
    return PerceptualFeatures(tiny_vgg("vgg19", last=19), JUDGED_LAYERS, source="tiny")


@pytest.fixture
def styles() -> dict[str, Tensor]:
    """Stripes of two directions and colours, 40 x 48."""
    return {"wave": stripes(0, 3), "mosaic": stripes(1, 3)}


@pytest.fixture
def judge(features: PerceptualFeatures, styles: dict[str, Tensor]) -> StyleDistances:
    return StyleDistances(features, styles)


def stripes(axis: int, period: int, shift: int = 0) -> Tensor:
    picture = torch.zeros(3, 40, 48)
    color = torch.tensor([(0.1, 0.9, 0.2), (1.0, 0.2, 0.8)][axis])[:, None, None]
    picture.transpose(1, 1 + axis)[:, shift::period] = color
    return picture


def noised(picture: Tensor, strength: float) -> Tensor:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(7))
    return (picture + strength * noise).clamp(0, 1)


def random_maps(random: torch.Generator, height: int = 16, width: int = 24) -> Maps:
    """One picture's; every layer is half as large as the one before."""
    sizes = {layer: (height >> depth, width >> depth) for depth, layer in enumerate(JUDGED_LAYERS)}
    return {layer: torch.rand(1, 3 + sizes[layer][0] % 3, *sizes[layer], generator=random) for layer in JUDGED_LAYERS}


def random_covariance(random: torch.Generator, size: int = 6) -> Tensor:
    factor = torch.randn(size, size, generator=random).double()
    return factor @ factor.T


class TestFrechetDistance:
    def test_of_spreads_along_the_axes(self):
        """(3, 4) apart: 25. Deviations 1, 3 and 2, 2: (1 - 2)^2 + (3 - 2)^2."""
        covariances = [torch.diag(torch.tensor(values).double()) for values in ((1.0, 9.0), (4.0, 4.0))]
        means = [torch.tensor(values).double() for values in ((0.0, 0.0), (3.0, 4.0))]
        assert frechet_distance(means[0], covariances[0], means[1], covariances[1]).item() == approx(27)

    def test_equals_the_root_of_the_product(self, random: torch.Generator):
        mean, other = torch.randn(2, 6, generator=random).double()
        one, two = random_covariance(random), random_covariance(random)
        assert not torch.allclose(one @ two, two @ one)
        root = scipy.linalg.sqrtm((one @ two).numpy())
        wanted = float((mean - other) @ (mean - other)) + float(one.trace() + two.trace()) - 2 * root.trace().real
        assert frechet_distance(mean, one, other, two).item() == approx(wanted, rel=1e-9)

    def test_of_spreads_along_one_direction_each(self, random: torch.Generator):
        """a a^T and b b^T: |a|^2 + |b|^2 - 2 |a b|. Nothing can be inverted."""
        zero = torch.zeros(6).double()
        one, two = torch.randn(2, 6, generator=random).double()
        wanted = float(one @ one + two @ two - 2 * (one @ two).abs())
        assert frechet_distance(zero, one.outer(one), zero, two.outer(two)).item() == approx(wanted, rel=1e-6)

    def test_is_zero_only_at_itself(self, random: torch.Generator):
        mean, covariance = torch.randn(6, generator=random).double(), random_covariance(random)
        assert frechet_distance(mean, covariance, mean, covariance).item() == approx(0, abs=1e-9)
        assert frechet_distance(mean, covariance, mean, 1.1 * covariance).item() > 1e-3

    def test_is_symmetric_and_turns_along(self, random: torch.Generator):
        mean, other = torch.randn(2, 6, generator=random).double()
        one, two = random_covariance(random), random_covariance(random)
        turn = torch.linalg.qr(torch.randn(6, 6, generator=random).double()).Q
        found = frechet_distance(mean, one, other, two).item()
        assert frechet_distance(other, two, mean, one).item() == approx(found)
        turned = frechet_distance(turn @ mean, turn @ one @ turn.T, turn @ other, turn @ two @ turn.T)
        assert turned.item() == approx(found)


class TestMomentsOf:
    def test_equals_a_loop_over_positions(self, random: torch.Generator):
        features, mask = torch.rand(1, 3, 4, 6, generator=random), torch.rand(1, 1, 8, 12, generator=random)
        shares = {(y, x): float(mask[0, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()) for y in range(4) for x in range(6)}
        total = sum(shares.values())
        wanted = sum(share * features[0, :, y, x].double() for (y, x), share in shares.items()) / total
        centred = {place: features[0, :, place[0], place[1]].double() - wanted for place in shares}
        spread = sum(share * centred[place].outer(centred[place]) for place, share in shares.items()) / total
        mean, covariance = moments_of(features, mask)
        torch.testing.assert_close(mean, wanted, rtol=1e-6, atol=0)
        torch.testing.assert_close(covariance, spread, rtol=1e-5, atol=1e-9)

    def test_a_mask_cuts_out(self, random: torch.Generator):
        features, mask = torch.rand(1, 3, 6, 8, generator=random), torch.zeros(1, 1, 12, 16)
        mask[..., :4, :10] = 1
        for found, wanted in zip(moments_of(features, mask), moments_of(features[:, :, :2, :5]), strict=True):
            torch.testing.assert_close(found, wanted)

    def test_of_one_channel_and_of_one_position(self):
        mean, covariance = moments_of(torch.tensor([[[[1.0, 3.0]]]]))
        assert (mean.tolist(), covariance.tolist()) == ([2.0], [[1.0]])
        assert moments_of(torch.ones(1, 2, 1, 1))[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]


class TestRelativeStatisticsDistance:
    def test_takes_means_and_deviations_as_one_vector(self):
        """Of (3, 0, 4, 0) and (0, 0, 4, 0) the distance is 3/4; of a layer twice as large, 1: 7/8 on average."""
        wanted = {"a": (torch.zeros(1, 2), torch.tensor([[4.0, 0.0]])), "b": (torch.ones(1, 2), torch.ones(1, 2))}
        found = {"a": (torch.tensor([[3.0, 0.0]]), torch.tensor([[4.0, 0.0]])), "b": (2 * torch.ones(1, 2),) * 2}
        assert relative_statistics_distance(found, wanted).item() == approx(7 / 8)


class TestDistancesOfMaps:
    def test_every_name_has_a_distance(self):
        assert tuple(STYLE_DISTANCES) == NAMES

    def test_of_maps_twice_as_large(self, random: torch.Generator):
        """Grams are 4 times as large, 3 away; statistics 2 times as large, 1 away."""
        maps = random_maps(random)
        found = distances_of_maps({layer: 2 * each for layer, each in maps.items()}, keep_style(maps))
        assert found["gram"] == approx(3, rel=1e-4) and found["statistics"] == approx(1, rel=1e-3)
        mean, covariance = moments_of(maps[FRECHET_LAYER])
        # Twice the deviation in every direction: (2 s - s)^2.
        assert found["sifid"] == approx(float(mean @ mean + covariance.trace()), rel=1e-6)

    def test_of_maps_that_are_shifted(self, random: torch.Generator):
        """By 0.5 in each channel: |shift|^2 for Gaussians; of one channel, seen along 1 or -1, 0.25 in each of 4 layers."""
        maps = random_maps(random)
        found = distances_of_maps({layer: each + 0.5 for layer, each in maps.items()}, keep_style(maps))
        assert found["sifid"] == approx(0.25 * maps[FRECHET_LAYER].shape[1], rel=1e-5)
        single = {layer: each[:, :1] for layer, each in maps.items()}
        found = distances_of_maps({layer: each + 0.5 for layer, each in single.items()}, keep_style(single))
        assert found["swd"] == approx(4 * 0.25, rel=1e-4)

    def test_positions_do_not_matter(self, random: torch.Generator):
        style, maps = keep_style(random_maps(random)), random_maps(random)
        mixed = {}
        for layer, each in maps.items():
            order = torch.randperm(each.shape[2] * each.shape[3], generator=random)
            mixed[layer] = each.flatten(2)[..., order].view_as(each)
        assert not torch.equal(mixed["relu1_1"], maps["relu1_1"])
        assert distances_of_maps(mixed, style) == approx(distances_of_maps(maps, style), rel=1e-4)

    def test_channels_do(self, random: torch.Generator):
        maps = random_maps(random)
        # Channels that are alike would be exchanged for nothing.
        maps = {layer: each * torch.arange(each.shape[1])[:, None, None] for layer, each in maps.items()}
        found = distances_of_maps({layer: each.flip(1) for layer, each in maps.items()}, keep_style(maps))
        assert min(found.values()) > 0.1

    def test_a_mask_cuts_out(self, random: torch.Generator):
        """The upper left quarter of every map, which the mask of the picture holds."""
        style, maps, mask = keep_style(random_maps(random)), random_maps(random), torch.zeros(1, 1, 16, 24)
        mask[..., :8, :12] = 1
        # The deepest map, 2 x 3, has no such quarter.
        maps["relu4_1"] = torch.rand(1, maps["relu4_1"].shape[1], 4, 6, generator=random)
        cut = {layer: each[:, :, : each.shape[2] // 2, : each.shape[3] // 2] for layer, each in maps.items()}
        found, whole = distances_of_maps(maps, style, mask), distances_of_maps(maps, style)
        assert found == approx(distances_of_maps(cut, style), rel=1e-3)
        assert all(found[name] != approx(whole[name], rel=1e-3) for name in NAMES)


class TestStyleDistances:
    def test_are_zero_at_the_style_and_nowhere_else(self, judge: StyleDistances, styles: dict[str, Tensor]):
        found = judge.measure(styles["wave"])
        assert tuple(found) == NAMES and all(tuple(row) == ("wave", "mosaic") for row in found.values())
        for row in found.values():
            assert row["wave"] == approx(0, abs=1e-5)
            assert row["mosaic"] > 0.05

    @pytest.mark.parametrize("name", NAMES)
    def test_grow_with_noise(self, name: str, judge: StyleDistances, styles: dict[str, Tensor]):
        found = [judge.measure(noised(styles["wave"], strength))[name]["wave"] for strength in (0.02, 0.1, 0.5)]
        assert 1e-5 < found[0] < 0.5 * found[1] < 0.5 * found[2]

    def test_are_the_same_at_every_call_and_draw_nothing(self, judge: StyleDistances, styles: dict[str, Tensor]):
        before = torch.get_rng_state()
        picture = noised(styles["wave"], 0.1)
        assert judge.measure(picture) == judge.measure(picture)
        assert torch.equal(torch.get_rng_state(), before)

    def test_other_styles_do_not_matter(
        self, features: PerceptualFeatures, styles: dict[str, Tensor], judge: StyleDistances
    ):
        alone, picture = StyleDistances(features, {"mosaic": styles["mosaic"]}), noised(styles["wave"], 0.1)
        assert {name: row["mosaic"] for name, row in judge.measure(picture).items()} == {
            name: row["mosaic"] for name, row in alone.measure(picture).items()
        }

    def test_styles_are_looked_at_once(self, features: PerceptualFeatures, styles: dict[str, Tensor]):
        seen = []
        features.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
        judge = StyleDistances(features, styles)
        assert len(seen) == 2
        judge.measure(torch.rand(3, 24, 32))
        assert seen[2:] == [(1, 3, 24, 32)]

    def test_what_the_mask_leaves_out_does_not_matter(self, judge: StyleDistances, styles: dict[str, Tensor]):
        """Except next to it: a position of relu4_1 is 8 pixels wide and sees 30 more on each side; here 56 lie between."""
        picture = noised(styles["wave"].repeat(1, 1, 3), 0.1)
        mask = torch.zeros(1, 40, 144)
        mask[..., :48] = 1
        other = picture.clone()
        other[..., 104:] = 1
        found, whole = judge.measure(picture, mask), judge.measure(picture)
        for name, row in judge.measure(other, mask).items():
            assert row == approx(found[name], rel=1e-4, abs=1e-7)
            assert judge.measure(other)[name]["wave"] != approx(whole[name]["wave"], rel=1e-2)

    def test_a_mask_of_ones_is_none(self, judge: StyleDistances, styles: dict[str, Tensor]):
        picture = noised(styles["wave"], 0.1)
        found, wanted = judge.measure(picture, torch.ones(1, 40, 48)), judge.measure(picture)
        assert all(found[name] == approx(wanted[name], rel=1e-4) for name in NAMES)

    def test_refuses_a_mask_that_holds_nothing(self, judge: StyleDistances, styles: dict[str, Tensor]):
        message = r"^mask: no pixel of the picture counts; leave out pictures that do not show the object\.$"
        with pytest.raises(ValueError, match=message):
            judge.measure(styles["wave"], torch.zeros(1, 40, 48))
        with pytest.raises(ValueError, match=message):
            content_distance(judge.features, styles["wave"], styles["wave"], torch.zeros(1, 40, 48))

    def test_refuses_a_picture_that_is_too_small(self, judge: StyleDistances):
        message = r"^picture: 40x15 pixels are too few, relu4_1 needs 16 a side; give a larger one\.$"
        with pytest.raises(ValueError, match=message):
            judge.measure(torch.rand(3, 15, 40))
        with pytest.raises(ValueError, match=message):
            StyleDistances(judge.features, {"thin": torch.rand(3, 15, 40)})


def nearest(distances: dict[str, dict[str, float]]) -> dict[str, str]:
    return {name: min(row, key=lambda style: row[style]) for name, row in distances.items()}


class TestConfusion:
    def test_stripes_are_taken_for_what_they_are(self, judge: StyleDistances):
        """Moved by a pixel and noised, they are other pictures of the same style."""
        for axis, name in enumerate(("wave", "mosaic")):
            found = judge.measure_all([(noised(stripes(axis, 3, shift), 0.1), None) for shift in (1, 2)])
            assert nearest(found) == dict.fromkeys(NAMES, name)
            assert recognised(name, found) == dict.fromkeys(NAMES, True)

    def test_stripes_under_a_false_name_are_found_out(self, judge: StyleDistances):
        found = judge.measure_all([(stripes(0, 3, 1), None)])
        assert nearest(found) == dict.fromkeys(NAMES, "wave")
        assert recognised("mosaic", found) == dict.fromkeys(NAMES, False)

    def test_averages_pictures_each_with_its_mask(self, judge: StyleDistances, random: torch.Generator):
        pictures = [(torch.rand(3, 24, 32, generator=random), torch.rand(1, 24, 32, generator=random)) for _ in range(2)]
        pictures.append((torch.rand(3, 40, 16, generator=random), None))
        rows = [judge.measure(*each) for each in pictures]
        for name, row in judge.measure_all(pictures).items():
            for style, value in row.items():
                assert value == approx(sum(each[name][style] for each in rows) / 3)

    def test_as_near_as_another_is_not_recognised(self):
        found = recognised("wave", {"gram": {"mosaic": 0.5, "wave": 0.5}, "swd": {"mosaic": 0.6, "wave": 0.5}})
        assert found == {"gram": False, "swd": True}

    def test_refuses_no_pictures(self, judge: StyleDistances):
        with pytest.raises(ValueError, match="^pictures: none is given; give one or more.$"):
            judge.measure_all([])

    def test_halves_of_paintings_are_nearest_to_their_other_halves(self, assets):
        """By the encoder that ships with the package."""
        features = load_encoder(None, "compact", JUDGED_LAYERS, torch.device("cpu"))
        names = ("mosaic", "starry_night", "wave")
        whole = {name: resize_long_side(read_rgb(assets / "styles" / f"{name}.jpg", "style"), 160) for name in names}
        left = {name: picture[..., : picture.shape[2] // 2] for name, picture in whole.items()}
        judge = StyleDistances(features, left)
        for name, picture in whole.items():
            found = judge.measure_all([(picture[..., picture.shape[2] // 2 :], None)])
            assert nearest(found) == dict.fromkeys(NAMES, name)


class TestSelfSimilarity:
    def test_is_1_at_the_reference_and_falls_with_noise(self, features: PerceptualFeatures, styles: dict[str, Tensor]):
        reference = styles["wave"]
        assert self_similarity(features, reference, reference) == approx(1)
        found = [self_similarity(features, noised(reference, strength), reference) for strength in (0.02, 0.1, 0.5)]
        assert 1 > found[0] > found[1] > found[2] > 0.1

    def test_equals_a_loop_over_places(self, features: PerceptualFeatures, random: torch.Generator):
        """Of every pixel of small pictures; what no layer knows between its positions is read bilinearly."""
        picture, reference = torch.rand(2, 3, 16, 18, generator=random)
        shares = []
        for each in (picture, reference):
            columns = []
            for layer in ("relu2_1", "relu3_1", "relu4_1"):
                read = torch.nn.functional.interpolate(features(each[None])[layer], size=(16, 18), mode="bilinear")[0]
                columns.append(read / read.norm(dim=0, keepdim=True))
            joined = torch.cat(columns).flatten(1).double()
            joined = joined / joined.norm(dim=0)
            table = [[1 - float(joined[:, i] @ joined[:, j]) for j in range(288)] for i in range(288)]
            shares.append(torch.tensor([[value / sum(row) for value in row] for row in table]))
        moved = (shares[0] - shares[1]).abs().sum()
        shuffles = [torch.randperm(288, generator=random) for _ in range(20)]
        most = sum((shares[0][order][:, order] - shares[1]).abs().sum() for order in shuffles) / 20
        assert self_similarity(features, picture, reference) == approx(1 - float(moved / most), abs=0.01)

    def test_of_pictures_that_know_nothing_of_each_other_nothing_is_left(self, tiny_vgg: Callable[..., dict[str, Tensor]]):
        """By a network that mirrors pictures at the border; zeros there look alike in all of them."""
        features = PerceptualFeatures(tiny_vgg("vgg19", normalised=True, last=19), JUDGED_LAYERS, source="tiny")
        shown = torch.ones(3, 64, 64) * 0.2
        shown[:, 8:30, 8:40] = 0.9
        noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
        assert self_similarity(features, noise, shown) == approx(0, abs=0.1)

    def test_other_colours_keep_more_than_other_places(self, features: PerceptualFeatures):
        shown = torch.ones(3, 48, 48) * 0.2
        shown[:, 8:24, 8:24] = 0.9
        recoloured, moved = shown.clone(), shown.roll((20, 20), (1, 2))
        recoloured[0] *= 0.5
        kept = [self_similarity(features, picture, shown) for picture in (recoloured, moved)]
        assert kept[0] > kept[1]

    def test_places_beyond_the_mask_do_not_count(self, features: PerceptualFeatures, styles: dict[str, Tensor]):
        picture, reference = noised(styles["wave"].repeat(1, 1, 3), 0.1), styles["wave"].repeat(1, 1, 3)
        mask, other = torch.zeros(1, 40, 144), picture.clone()
        mask[..., :48] = 1
        other[..., 104:] = 1  # as far away as a network sees
        assert self_similarity(features, other, reference, mask) == approx(
            self_similarity(features, picture, reference, mask), abs=1e-5
        )
        assert self_similarity(features, other, reference) < self_similarity(features, picture, reference) - 1e-3


class TestContentDistance:
    def test_equals_a_loop_over_positions(self, features: PerceptualFeatures, random: torch.Generator):
        picture, reference = torch.rand(2, 3, 24, 32, generator=random)
        mask = torch.rand(1, 24, 32, generator=random)
        ours, theirs = (features(each[None])["relu4_1"][0].double() for each in (picture, reference))
        away = length = 0.0
        for row in range(3):
            for column in range(4):
                share = float(mask[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].mean())
                away += share * float((ours[:, row, column] - theirs[:, row, column]).square().sum())
                length += share * float(theirs[:, row, column].square().sum())
        assert content_distance(features, picture, reference, mask) == approx((away / length) ** 0.5, rel=1e-5)

    def test_is_zero_at_the_reference_and_grows_with_noise(self, features: PerceptualFeatures, styles: dict[str, Tensor]):
        reference = styles["wave"]
        assert content_distance(features, reference, reference) == 0
        found = [content_distance(features, noised(reference, strength), reference) for strength in (0.02, 0.1, 0.5)]
        assert 0 < found[0] < 0.5 * found[1] < 0.5 * found[2]

    def test_asks_where_things_are(self, features: PerceptualFeatures, random: torch.Generator):
        """A picture turned upside down has its colours, and shows something else."""
        picture = torch.rand(3, 1, 1, generator=random) * torch.linspace(0, 1, 40)[:, None].expand(3, 40, 48)
        assert content_distance(features, picture.flip(1), picture) > 0.3
