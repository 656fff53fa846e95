"""A ball whose colours are known becomes splats: they lie on it, look like it, and take the colours of any mix."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.splats.compositing import render
from ins3d.splats.field_views import FieldView
from ins3d.splats.fitting import Fitted, fit
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.making import PaintableSplats, likeness, make_splats, paintable
from ins3d.splats.placing import around, place_splats
from ins3d.splats.views import nearest_pixel
from tests.splats.clouds import a_view, ball_rgb, seen_ball

WHITE = torch.ones(3)


def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture(scope="module")
def seen() -> list[FieldView]:
    return seen_ball()


@pytest.fixture(scope="module")
def both(seen: list[FieldView]) -> tuple[Gaussians, Tensor]:
    return place_splats(seen, 2.0, 10_000, random())


@pytest.fixture(scope="module")
def placed(both: tuple[Gaussians, Tensor]) -> Gaussians:
    return both[0]


class TestPlacing:
    def test_splats_lie_on_the_ball_in_its_colours(self, placed: Gaussians):
        away = placed.means.norm(dim=-1) - 1
        assert len(placed) > 300
        assert away.abs().quantile(0.95) < 0.13  # samples are .125 long
        assert (placed.rgb - ball_rgb(placed.means)).abs().mean() < 0.1
        hidden = 1 - render(seen_ball(1)[0].view, placed.painted(0 * placed.rgb), WHITE)[20:28, 20:28, 0]
        assert hidden.min() > 0.8

    def test_all_sides_are_covered(self, placed: Gaussians):
        toward = torch.nn.functional.normalize(torch.randn(200, 3, generator=random()), dim=-1)
        toward = toward[toward[:, 1].abs() < 0.7]  # no camera looks from straight above
        assert torch.cdist(toward, placed.means).amin(1).max() < 0.25

    def test_the_field_around_a_place(self, seen: list[FieldView]):
        places = torch.tensor([[1.0, 0, 0], [0.0, 0, 1.6], [0.0, 0, 0]])
        opacity, most_light, shown = around(places, torch.full((3,), 0.15), seen)
        assert opacity[0] > 0.7 and most_light[0] > 0.9  # on the ball
        assert opacity[1] < 0.1 and shown[1] < 0.5  # before it
        assert most_light[2] < 0.01  # inside: no light gets there

    def test_where_there_are_too_many_those_that_show_most_are_kept(self, seen: list[FieldView], placed: Gaussians):
        few, _ = place_splats(seen, 2.0, 100, random())
        assert len(few) == 100
        shown = around(placed.means, 2 * nearest_pixel(placed.means, [each.view for each in seen]), seen)[2]
        kept = torch.cdist(few.means, placed.means).amin(1) < 1e-3
        assert kept.all()
        chosen = torch.cdist(placed.means, few.means).amin(1) < 1e-3
        assert shown[chosen].min() >= shown[~chosen].max() - 1e-4

    def test_of_an_empty_field_no_splats_are_made(self, seen: list[FieldView]):
        empty = [FieldView(**{**vars(each), "weights": 0 * each.weights}) for each in seen]
        with pytest.raises(ValueError, match=r"load-config: the run's field is empty where its cameras look"):
            place_splats(empty, 2.0, 100, random())


class TestFitting:
    def test_splats_come_to_look_as_the_field_does_in_every_look(
        self, both: tuple[Gaussians, Tensor], seen: list[FieldView]
    ):
        before = likeness(both[0], seen, 0, WHITE)
        fitted = fit(*both, seen, 60, None, 0, random())
        assert likeness(fitted.splats, seen, 0, WHITE) > before + 4
        assert likeness(fitted.splats.painted(fitted.styles[0]), seen, 1, WHITE) > before + 2

    def test_before_random_colours_what_is_empty_stays_empty(self, both: tuple[Gaussians, Tensor], seen: list[FieldView]):
        """Over white, white splats before white cost nothing; over another colour they show."""
        fitted = fit(*both, seen, 60, None, 0, random())
        green = torch.tensor([0.0, 1.0, 0.0])
        assert likeness(fitted.splats, seen, 0, green) > likeness(fitted.splats, seen, 0, WHITE) - 1.5

    def test_degree_one_learns_what_changes_with_the_view(self, both: tuple[Gaussians, Tensor], seen: list[FieldView]):
        """A ball that is lit from the camera: brighter from one side than from the other."""
        shining = []
        for each in seen:
            light = 0.3 * torch.nn.functional.normalize(each.view.center, dim=0)[2] * each.alpha
            shining.append(FieldView(**{**vars(each), "pictures": each.pictures + light}))
        found = {degree: fit(*both, shining, 80, None, degree, random()).splats for degree in (0, 1)}
        assert found[1].harmonics.shape == (len(found[1]), 3, 3) and found[0].harmonics.shape == (len(found[0]), 0, 3)
        assert likeness(found[1], shining, 0, WHITE) > likeness(found[0], shining, 0, WHITE) + 2

    def test_many_styles_are_all_learned(self, both: tuple[Gaussians, Tensor], seen: list[FieldView]):
        looks = both[1][[0, 1, 1, 1, 1, 1]]
        many = [FieldView(**{**vars(each), "pictures": each.pictures[[0, 1, 1, 1, 1, 1]]}) for each in seen[:6]]
        grey = torch.full_like(looks, 0.5)
        fitted = fit(both[0], grey, many, 40, WHITE, 0, random())
        assert fitted.styles.shape == (5, len(looks[0]), 3)
        moved = (fitted.styles - 0.5).abs().mean((1, 2))
        assert moved.min() > 0.5 * moved.max() > 0.02

    def test_no_steps_leave_them_as_they_are(self, both: tuple[Gaussians, Tensor], seen: list[FieldView]):
        placed, fitted = both[0], fit(*both, seen, 0, WHITE, 0, random())
        assert torch.allclose(fitted.splats.means, placed.means)
        assert torch.allclose(fitted.splats.scales, placed.scales)


class TestPaintable:
    @pytest.fixture(scope="class")
    def fitted(self, seen: list[FieldView]) -> Fitted:
        return make_splats(seen, None, 5000, 5, 0, random())

    @staticmethod
    def paint(code: Tensor) -> Tensor:
        return torch.full((1, 3), 0.25) * code.sum()

    def test_one_style_alone_has_its_fitted_colours(self, fitted: Fitted):
        painted = paintable(fitted, self.paint).painted(torch.tensor([1.0]), self.paint)
        assert torch.allclose(painted.rgb, fitted.styles[0], atol=1e-6)

    def test_under_the_zero_code_it_is_the_content(self, fitted: Fitted):
        made = paintable(fitted, self.paint)
        assert torch.equal(made.painted(torch.zeros(1), self.paint).rgb, fitted.splats.rgb)

    def test_is_read_as_it_was_saved_and_not_for_another_run(self, fitted: Fitted, tmp_path: Path):
        made, path = paintable(fitted, self.paint), tmp_path / "splats.safetensors"
        made.save(path, {"network": "a", "size": None})
        found = PaintableSplats.load(path, {"size": None, "network": "a"})
        assert found is not None
        assert torch.equal(found.splats.means, made.splats.means)
        assert torch.equal(found.residuals, made.residuals)
        assert PaintableSplats.load(path, {"network": "b", "size": None}) is None
        path.write_bytes(path.read_bytes()[:5000])
        assert PaintableSplats.load(path, {"network": "a", "size": None}) is None
        assert PaintableSplats.load(tmp_path / "none", {}) is None


def test_a_picture_takes_no_longer_than_its_pairs():
    """100,000 splats of a ball at 135x240: a twentieth of a second each way on a quiet core, a second here."""
    toward = torch.nn.functional.normalize(torch.randn(100_000, 3, generator=random()), dim=-1)
    splats = plain_gaussians(
        toward, torch.full_like(toward, 0.007), torch.tensor([1.0, 0, 0, 0]).expand(len(toward), 4),
        torch.full((len(toward),), 0.9), ball_rgb(toward),
    )  # fmt: skip
    started = time.process_time()
    picture = render(a_view(135, 240), splats, WHITE)
    assert time.process_time() - started < 4
    assert (picture.amin(-1) < 0.9).float().mean() > 0.1
