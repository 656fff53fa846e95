"""Settings that say themselves what they can be."""

from dataclasses import dataclass, field

import pytest

from ins3d.extension.ranges import check_ranges, ranged, with_fact


@dataclass
class Patches:
    size: int = ranged(64, min=1, max=512)
    strides: tuple[int, ...] = ranged((1, 2), min=1, max=8)


@dataclass
class Run:
    num_steps: int = ranged(100, min=1, may_change=True)
    weight: float = ranged(0.5, min=0)
    share: float | None = ranged(None, min=0, max=1)
    name: str = "run"
    patches: Patches = field(default_factory=Patches)


@dataclass
class LongRun(Run):
    """Declares fields again: one plainly, one with bounds of its own."""

    num_steps: int = 100_000
    weight: float = ranged(1.0, max=2)


@dataclass
class ShortRun(LongRun):
    num_steps: int = ranged(5, max=10)


def refusal(settings: object, prefix: str = "") -> str:
    with pytest.raises(ValueError) as caught:
        check_ranges(settings, prefix)
    return str(caught.value)


class TestCheckRanges:
    def test_bounds_are_included(self):
        for settings in (Run(), Run(1, 0.0, 0.0), Run(1, 7.0, 1.0, patches=Patches(512, (1, 8)))):
            check_ranges(settings)

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            (Run(num_steps=0), "num-steps: 0 is too little; use 1 or more."),
            (Run(weight=-0.1), "weight: -0.1 is too little; use 0 or more."),
            (Run(weight=float("nan")), "weight: nan is too little; use 0 or more."),
            (Run(share=1.5), "share: 1.5 is too much; use 1 or less."),
            (Run(share=float("nan")), "share: nan is too little; use 0 or more."),
        ],
    )
    def test_name_the_option_the_value_and_the_bound(self, settings: Run, said: str):
        assert refusal(settings) == said

    def test_nothing_given_is_within_all_bounds(self):
        check_ranges(Run(share=None))

    def test_of_a_tuple_every_number_counts(self):
        check_ranges(Patches(strides=()))
        assert refusal(Patches(strides=(1, 0))) == "strides: 0 is too little; use 1 or more."
        assert refusal(Patches(strides=(16, 0))) == "strides: 16 is too much; use 8 or less."

    def test_nested_settings_are_named_as_their_options_are(self):
        assert refusal(Run(patches=Patches(size=0))) == "patches.size: 0 is too little; use 1 or more."
        nested = Run(patches=Patches(strides=(2, 9)))
        assert refusal(nested, "pipeline.") == "pipeline.patches.strides: 9 is too much; use 8 or less."
        assert refusal(Run(num_steps=0), "pipeline.") == "pipeline.num-steps: 0 is too little; use 1 or more."

    def test_a_field_that_is_declared_again_keeps_its_bounds(self):
        check_ranges(LongRun())
        assert refusal(LongRun(num_steps=0)) == "num-steps: 0 is too little; use 1 or more."

    def test_bounds_of_its_own_come_on_top(self):
        assert refusal(LongRun(weight=3.0)) == "weight: 3.0 is too much; use 2 or less."
        assert refusal(LongRun(weight=-1.0)) == "weight: -1.0 is too little; use 0 or more."
        assert refusal(ShortRun(num_steps=11)) == "num-steps: 11 is too much; use 10 or less."
        assert refusal(ShortRun(num_steps=0)) == "num-steps: 0 is too little; use 1 or more."
        check_ranges(Run(num_steps=11))

    def test_a_class_among_the_fields_is_no_setting(self):
        @dataclass
        class Config:
            target: type = Run
            size: int = ranged(1, min=1)

        check_ranges(Config())
        assert refusal(Config(size=0)) == "size: 0 is too little; use 1 or more."


class TestMayChange:
    def test_what_is_declared_so(self):
        assert set(with_fact(Run(), "may_change")) == {"num_steps"} and set(with_fact(Patches(), "may_change")) == set()

    def test_and_stays_so_where_it_is_declared_again(self):
        assert set(with_fact(LongRun(), "may_change")) == set(with_fact(ShortRun(), "may_change")) == {"num_steps"}


def test_defaults_are_those_given():
    assert Run() == Run(100, 0.5, None, "run", Patches(64, (1, 2))) and LongRun().weight == 1.0
