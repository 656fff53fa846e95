import pytest
import torch

from ins3d.style.sampling import BLENDED, PARTIAL, MixSampler, steps_for


def sampler(
    num_styles: int = 3, learned: tuple[int, ...] | None = None, partial: float = 0.0, blended: float = 0.0
) -> MixSampler:
    return MixSampler(num_styles, learned or tuple(range(num_styles)), seed=0, partial=partial, blended=blended)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_style_has_its_turn_in_every_round_and_rounds_differ():
    some = sampler(5, learned=(2, 3, 4))
    turns = [some.turn(step) for step in range(30)]
    rounds = [tuple(turns[start : start + 3]) for start in range(0, 30, 3)]
    assert all(sorted(one) == [2, 3, 4] for one in rounds) and len(set(rounds)) > 2
    assert turns == [some.turn(step) for step in range(30)]  # a resumed run goes on where it was
    assert [some.mix(step, seeded()).parts for step in range(30)] == [[(turn, 1.0)] for turn in turns]


def test_the_chosen_share_of_steps_trains_a_strength_below_1():
    generator = seeded()
    drawn = torch.tensor([sampler(partial=0.25).mix(step, generator).strength for step in range(2000)])
    below = drawn[drawn < 1]
    assert len(below) / len(drawn) == pytest.approx(0.25, abs=0.03)
    assert float(below.mean()) == pytest.approx(0.5, abs=0.05) and float(below.min()) > 0


def test_the_chosen_share_of_steps_trains_a_blend_with_any_other_style():
    generator, some = seeded(), sampler(4, learned=(1,), blended=0.25)
    drawn = torch.tensor([some.mix(step, generator).weights for step in range(2000)])
    torch.testing.assert_close(drawn.sum(1), torch.ones(2000))
    blended = drawn[drawn[:, 1] < 1]
    assert len(blended) / len(drawn) == pytest.approx(0.25, abs=0.03)
    assert bool(((blended > 0).sum(1) == 2).all()) and float(blended[:, 1].mean()) == pytest.approx(0.5, abs=0.05)
    others = (blended[:, [0, 2, 3]] > 0).float().mean(0)
    torch.testing.assert_close(others, torch.full((3,), 1 / 3), atol=0.06, rtol=0)


def test_a_single_style_is_never_blended():
    generator = seeded()
    assert {sampler(1, blended=0.99).mix(step, generator).weights for step in range(20)} == {(1.0,)}


def test_a_fifth_of_the_steps_each_are_weaker_and_blended_unless_told_otherwise():
    assert (PARTIAL, BLENDED) == (0.2, 0.2)
    assert (MixSampler(1, (0,), 0).partial, MixSampler(1, (0,), 0).blended) == (PARTIAL, BLENDED)


def test_every_further_style_adds_45_percent_of_the_steps():
    assert [steps_for(400, number) for number in (1, 2, 3, 16)] == [400, 580, 760, 3100]
    assert steps_for(5, 2) == 7  # 7.25
