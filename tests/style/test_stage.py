"""Begin, steps and end of what all subjects share; the subject is a picture."""

import copy

import pytest
import torch

from ins3d.perception.color_transfer import between, color_statistics
from ins3d.pictures.content import make_picture_content
from ins3d.pictures.fitting import PictureSource, fit_picture
from ins3d.pictures.painting import PictureSubject, WindowSampler
from ins3d.pictures.stylized import StylizedPicture
from ins3d.runs.training import Training
from ins3d.style.mix import Mix, single_style
from ins3d.style.objective import StyleObjective, colors_of
from ins3d.style.sampling import MixSampler
from ins3d.style.stage import RESTORED, StyleStage


class Stopped(Exception):
    pass


@pytest.fixture
def objective(two_styles) -> StyleObjective:
    return two_styles(content_weight=0.3)


@pytest.fixture
def subject(source: PictureSource) -> PictureSubject:
    """A picture that is fitted, and not painted."""
    torch.manual_seed(0)
    content = make_picture_content("planes", 28)
    fit, losses = fit_picture(content, source, 60, 300, seed=0)
    fit.run(losses)
    field = StylizedPicture(content, 2, 28, "style")
    return PictureSubject(field, source, WindowSampler(source, None))


def stage_of(subject: PictureSubject, objective: StyleObjective, learned: tuple[int, ...] = (0, 1), **more) -> StyleStage:
    return StyleStage(subject, objective, MixSampler(2, learned, seed=0), **more)


def training_of(subject: PictureSubject, steps: int) -> Training:
    return Training(subject.field, subject.field.groups(), steps, seed=0)


def painted_colors(subject: PictureSubject, style: int):
    return colors_of(subject.fixed(single_style(style, 2), painted=True).painted)


class TestBegin:
    def test_gives_the_picture_the_colours_of_every_style(self, subject: PictureSubject, objective: StyleObjective):
        stage_of(subject, objective).begin()
        rgb = subject.source.rgb.flatten(1).T
        for style in (0, 1):
            found = color_statistics(subject.colors.map(rgb, 1.0, single_style(style, 2).code()))
            wanted = objective.styles[style].colors
            torch.testing.assert_close(found.mean, wanted.mean, atol=1e-4, rtol=0)
        assert torch.equal(subject.colors.maps, subject.colors.trained)

    def test_measures_what_losses_are_divided_by_under_those_colours(self, subject, objective: StyleObjective):
        stage_of(subject, objective).begin()
        found, objective.normalisers = objective.normalisers, None
        assert found is not None and found.shape == (2, 2) and bool((found > 0).all())
        for style in (0, 1):
            seen = subject.fixed(single_style(style, 2), painted=False)
            assert torch.equal(seen.painted, seen.photographs) and seen.mask is None
            raw = objective.losses(seen.painted, seen.photographs, style, torch.Generator())
            other = objective.losses(seen.painted.roll(1, 0), seen.photographs, style, torch.Generator())
            torch.testing.assert_close(found[style], torch.stack([other["content_loss"], raw["gram_loss"]]))

    def test_is_the_same_whenever_it_is_done(self, subject, objective: StyleObjective):
        other = copy.deepcopy(subject)
        stage_of(subject, objective).begin()
        first, objective.normalisers = objective.normalisers, None
        torch.rand(7)  # draws from torch's own generator in between
        stage_of(other, objective).begin()
        assert torch.equal(objective.normalisers, first) and torch.equal(other.colors.maps, subject.colors.maps)

    def test_leaves_raw_losses_where_it_is_told_to(self, subject, objective: StyleObjective):
        stage = stage_of(subject, objective, normalise=False)
        stage.begin()
        assert objective.normalisers is None
        assert set(stage.losses(0, torch.Generator().manual_seed(0))) == {"content_loss", "gram_loss"}

    def test_touches_only_the_styles_that_are_learned(self, subject, objective: StyleObjective):
        objective.normalisers = torch.tensor([[3.0, 5.0], [1.0, 1.0]])
        before = subject.colors.maps.clone()
        stage_of(subject, objective, learned=(1,)).begin()
        # The losses of a style that is kept are measured, too: a finished run may have had others.
        assert not {1, 3, 5} & set(objective.normalisers.flatten().tolist())
        assert torch.equal(subject.colors.maps[0], before[0]) and not torch.equal(subject.colors.maps[1], before[1])


class TestLosses:
    def test_are_those_of_what_the_subject_shows(self, subject: PictureSubject, objective: StyleObjective):
        stage = stage_of(subject, objective)
        stage.begin()
        found = stage.losses(3, torch.Generator().manual_seed(5))
        generator = torch.Generator().manual_seed(5)
        window, mix = subject.draw(3, stage.mixes, generator)
        seen = subject.look(window, mix, generator)
        expected = objective.weighted_losses(seen.painted, seen.photographs, mix, generator)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        found["gram_loss"].backward()
        assert subject.field.amalgamation.rgb_gate.grad is not None

    def test_photographs_are_compared_under_the_styles_colours(self, subject: PictureSubject, objective: StyleObjective):
        stage_of(subject, objective).begin()
        window = (subject.source.whole, (0.0, 0.0))
        seen = subject.look(window, Mix((0.0, 1.0)), torch.Generator())
        expected = subject.colors.map(subject.source.rgb.permute(1, 2, 0), 1.0, torch.tensor([0.0, 1.0])).clamp(0, 1)
        torch.testing.assert_close(seen.photographs[0], expected.permute(2, 0, 1), atol=1e-5, rtol=0)


class TestEnd:
    @pytest.fixture
    def painted(self, subject: PictureSubject, objective: StyleObjective) -> StyleStage:
        stage = stage_of(subject, objective)
        stage.begin()
        training_of(subject, 6).run(stage.losses)
        return stage

    def test_moves_the_colours_three_quarters_of_the_way_to_the_styles(self, painted: StyleStage, objective):
        subject = painted.subject
        before = [painted_colors(subject, style) for style in (0, 1)]
        rgb = [subject.fixed(single_style(style, 2), painted=True).painted[0].flatten(1).T for style in (0, 1)]
        maps = subject.colors.maps.clone()
        painted.end()
        for style in (0, 1):
            wanted = between(before[style], objective.styles[style].colors, RESTORED)
            # What the end's map does to what was painted, which was no further clamped.
            old, new = (torch.cat([each[style], torch.tensor([[0.0, 0, 0, 1]])]) for each in (maps, subject.colors.maps))
            step = new @ torch.linalg.inv(old)
            moved = torch.cat([rgb[style], torch.ones(len(rgb[style]), 1)], dim=1) @ step[:3].T
            torch.testing.assert_close(moved.mean(0), wanted.mean, atol=1e-3, rtol=0)

    def test_other_colours_are_left_alone(self, source: PictureSource, objective: StyleObjective):
        torch.manual_seed(0)
        field = StylizedPicture(make_picture_content("planes", 28), 2, 28, "none")
        stage = stage_of(PictureSubject(field, source, WindowSampler(source, None)), objective)
        before = field.colors.maps.clone()
        stage.begin(), stage.end()
        assert torch.equal(field.colors.maps, before)

    def test_a_new_stage_gives_back_the_maps_under_which_strokes_were_learned(self, painted: StyleStage, objective):
        colors = painted.subject.colors
        learned_under = colors.maps.clone()
        painted.end()
        finished = colors.maps.clone()
        assert not torch.equal(finished, learned_under) and torch.equal(colors.trained, learned_under)
        StyleStage(painted.subject, objective, painted.mixes)
        assert torch.equal(colors.maps, learned_under)

    def test_a_new_stage_leaves_finished_styles_that_it_does_not_learn(self, painted: StyleStage, objective):
        colors = painted.subject.colors
        painted.end()
        finished = colors.maps.clone()
        stage_of(painted.subject, objective, learned=(1,))
        assert torch.equal(colors.maps[0], finished[0]) and torch.equal(colors.maps[1], colors.trained[1])

    def test_training_that_is_taken_up_again_goes_on_as_if_it_had_not_ended(self, subject, objective: StyleObjective):
        ends = []
        for stop in (None, 3):
            painted = copy.deepcopy(subject)
            objective.normalisers = None
            stage, training = stage_of(painted, objective), training_of(painted, 8)
            stage.begin()

            def report(step: int, losses: dict[str, float], stop: int | None = stop) -> None:
                if step == stop:
                    raise Stopped

            try:
                training.run(stage.losses, report)
            except Stopped:
                stage.end()
                stage = stage_of(painted, objective)
                training.run(stage.losses)
            assert training.step == 8
            stage.end()
            ends.append(painted.field.state_dict())
        assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())

    def test_a_field_that_is_read_again_after_its_end_can_be_trained_on(self, painted: StyleStage, objective, source):
        learned_under = painted.subject.colors.maps.clone()
        painted.end()
        field = StylizedPicture(make_picture_content("planes", 28), 2, 28, "style")
        field.load_state_dict(painted.subject.field.state_dict())
        assert torch.equal(field.colors.maps, painted.subject.colors.maps)
        stage_of(PictureSubject(field, source, WindowSampler(source, None)), objective)
        assert torch.equal(field.colors.maps, learned_under)


class TestGramDistance:
    def test_is_the_whole_pictures_and_at_strength_0_the_contents(self, subject, objective: StyleObjective):
        stage = stage_of(subject, objective)
        stage.begin()
        with torch.no_grad():
            places = source_positions(subject)
            content = subject.field.content(places).clamp(0, 1).T.reshape(1, 3, 20, 28)
        assert stage.gram_distance(1, strength=0.0) == pytest.approx(float(objective.gram_distance(content, 1)), rel=1e-5)

    def test_falls_while_the_picture_is_painted(self, subject: PictureSubject, objective: StyleObjective):
        stage = stage_of(subject, objective)
        stage.begin()
        before = [stage.gram_distance(style) for style in (0, 1)]
        training_of(subject, 250).run(stage.losses)
        after = [stage.gram_distance(style) for style in (0, 1)]
        assert all(now < was for now, was in zip(after, before, strict=True))
        assert sum(after) < 0.95 * sum(before)


def source_positions(subject: PictureSubject) -> torch.Tensor:
    return subject.source.whole.positions(slice(None))
