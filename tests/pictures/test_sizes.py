import pytest

from ins3d.pictures.sizes import plan_sizes


def test_coarse_sizes_are_halves_and_the_finest_comes_last():
    sizes = plan_sizes(768)
    drawn = [sizes.at(step, 400) for step in range(400)]
    assert drawn == sorted(drawn) and set(drawn) == {0, 1, 2} and drawn.count(0) > drawn.count(1) > drawn.count(2)


def test_nothing_is_learned_below_the_coarsest_side():
    assert plan_sizes(768, coarsest=300).long_sides == (384, 768)
    assert plan_sizes(768, coarsest=400).long_sides == (768,)
    assert plan_sizes(1536, coarsest=128).long_sides == (384, 768, 1536)  # three, however large


def test_steps_that_do_not_reach_the_finest_size_are_refused():
    with pytest.raises(
        ValueError, match="steps: 2 are too few for pictures of 192, 384, 768 pixels; use 4 or more, or a smaller size"
    ):
        plan_sizes(768).refuse_few(2)
    plan_sizes(768).refuse_few(4)
    plan_sizes(100).refuse_few(1)
