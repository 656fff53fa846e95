"""Judges of brushwork on pictures whose strokes are known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ins3d.evaluation.strokes import (
    StrokeJudge,
    radial_spectrum,
    relaxed_earth_movers_distance,
    stroke_coherence,
)
from ins3d.perception.features import PerceptualFeatures


def stripes(period: float, angle: float = 0.0, side: int = 96) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(side).float(), torch.arange(side).float(), indexing="ij")
    wave = 0.5 + 0.4 * torch.sin(2 * np.pi / period * (rows * np.cos(angle) + columns * np.sin(angle)))
    return wave.expand(3, side, side)


def flecks(seed: int = 0, side: int = 96) -> Tensor:
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(seed)).expand(3, side, side)


class TestRelaxedEarthMoversDistance:
    def test_is_0_for_the_same_set_in_another_order_and_scale(self):
        columns = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
        assert relaxed_earth_movers_distance(columns, 3 * columns.flip(0)) == pytest.approx(0, abs=1e-6)

    def test_is_the_mean_distance_to_the_nearest_by_a_loop(self):
        generator = torch.Generator().manual_seed(0)
        ours, theirs = torch.randn(7, 4, generator=generator), torch.randn(9, 4, generator=generator)

        def one_way(first: Tensor, second: Tensor) -> float:
            cosine = torch.nn.functional.cosine_similarity
            return float(np.mean([min(1 - float(cosine(a, b, dim=0)) for b in second) for a in first]))

        expected = max(one_way(ours, theirs), one_way(theirs, ours))
        assert relaxed_earth_movers_distance(ours, theirs) == pytest.approx(expected, rel=1e-5)

    def test_a_part_of_the_painting_that_is_not_used_counts(self):
        painting, picture = torch.eye(4), torch.eye(4)[:2]
        assert relaxed_earth_movers_distance(picture, painting) == pytest.approx(0.5)
        assert relaxed_earth_movers_distance(painting, picture) == pytest.approx(0.5)


class TestCoherence:
    def test_parallel_strokes_have_it_whatever_their_direction_and_flecks_have_not(self):
        for angle in (0.0, 0.7, np.pi / 2):
            assert stroke_coherence(stripes(8, angle)).min() > 0.9
        assert np.median(stroke_coherence(flecks())) < 0.5

    def test_does_not_ask_for_contrast(self):
        assert stroke_coherence(0.3 * stripes(8)) == pytest.approx(stroke_coherence(stripes(8)), abs=1e-3)


class TestSpectrum:
    def test_has_its_peak_at_the_strokes_frequency(self):
        coarse, fine = (int(radial_spectrum(stripes(period)).argmax()) for period in (24, 6))
        assert coarse < fine

    def test_half_the_contrast_is_a_quarter_of_the_power(self):
        difference = radial_spectrum(flecks()) - radial_spectrum(0.5 * flecks())
        assert difference == pytest.approx(np.log(4), abs=1e-3)


class TestJudge:
    @pytest.fixture
    def judge(self, tiny_vgg) -> StrokeJudge:
        features = PerceptualFeatures(tiny_vgg("vgg19", last=19), ("relu2_1", "relu3_1", "relu4_1"), source="tiny")
        return StrokeJudge(features, stripes(8))

    def test_the_painting_itself_is_0_in_all(self, judge: StrokeJudge):
        assert judge.measure(stripes(8)) == pytest.approx({"remd": 0, "coherence": 0, "spectrum": 0}, abs=1e-5)

    def test_strokes_of_the_same_kind_are_nearer_than_flecks_in_all(self, judge: StrokeJudge):
        strokes, noise = judge.measure(stripes(8.5, 0.2)), judge.measure(flecks())
        assert all(strokes[name] < noise[name] for name in strokes)
