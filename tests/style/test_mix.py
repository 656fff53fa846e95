import json
from pathlib import Path

import pytest
import torch

from ins3d.style.mix import (
    Mix,
    MixFilmSettings,
    make_mix,
    read_mix,
    round_trip,
    single_style,
    strength_factors,
    through_styles,
    write_mix,
)

NAMES = ("wave", "candy", "mosaic")


class TestMakeMix:
    def test_without_weights_it_is_the_first_style(self):
        assert make_mix((), 1.0, NAMES, "here") == Mix((1.0, 0.0, 0.0), 1.0)

    def test_only_ratios_count_and_the_sum_is_the_strength(self):
        torch.testing.assert_close(make_mix((2.0, 0.0, 6.0), 0.5, NAMES, "here").code(), torch.tensor([0.125, 0.0, 0.375]))
        torch.testing.assert_close(make_mix((0.2, 0.0, 0.6), 0.5, NAMES, "here").code(), torch.tensor([0.125, 0.0, 0.375]))

    def test_strength_0_is_the_zero_code(self):
        assert make_mix((1.0, 1.0, 1.0), 0.0, NAMES, "here").code().tolist() == [0, 0, 0]

    @pytest.mark.parametrize(
        ("weights", "strength", "message"),
        [
            ((1.0, 2.0), 1.0, "here: 2 weights for 3 styles; give one for each of wave, candy, mosaic."),
            ((1.0, -0.5, 1.0), 1.0, "here: 1 -0.5 1 is no mix; give weights of 0 or more, one for each of wave, candy, "
             "mosaic."),
            ((1.0, float("nan"), 1.0), 1.0, "here: 1 nan 1 is no mix; give weights of 0 or more, one for each of wave, "
             "candy, mosaic."),
            ((0.0, 0.0, 0.0), 1.0, "here: all weights are 0; give one of wave, candy, mosaic a weight, and use a style "
             "strength of 0 for the content."),
            ((1.0, 1.0, 1.0), 1.5, "here: 1.5 is outside 0 (the content) to 1 (full style)."),
            ((1.0, 1.0, 1.0), -0.1, "here: -0.1 is outside 0 (the content) to 1 (full style)."),
        ],
    )  # fmt: skip
    def test_what_is_no_mix_is_refused(self, weights, strength: float, message: str):
        with pytest.raises(ValueError) as caught:
            make_mix(weights, strength, NAMES, "here")
        assert str(caught.value) == message


class TestFiles:
    def test_what_was_written_is_read(self, tmp_path: Path):
        mix = Mix((0.25, 0.0, 0.5), 0.75)
        write_mix(tmp_path / "new" / "mix.json", mix, NAMES)
        assert read_mix(tmp_path / "new" / "mix.json", NAMES) == mix
        assert [file.name for file in (tmp_path / "new").iterdir()] == ["mix.json"]

    def test_weights_go_by_name_whatever_the_order_and_new_styles_weigh_nothing(self, tmp_path: Path):
        write_mix(tmp_path / "mix.json", Mix((0.25, 0.5), 1.0), ("mosaic", "wave"))
        assert read_mix(tmp_path / "mix.json", NAMES) == Mix((0.5, 0.0, 0.25), 1.0)

    def test_a_style_that_is_gone_is_named(self, tmp_path: Path):
        write_mix(tmp_path / "mix.json", Mix((0.25, 0.5), 1.0), ("wave", "sketch"))
        with pytest.raises(
            ValueError, match=r"mix\.json asks for 'sketch', and this run's styles are wave, candy, mosaic; "
        ):
            read_mix(tmp_path / "mix.json", NAMES)

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"weights": [1, 2, 3], "strength": 1}', '{"weights": {"wave": "much"}, "strength": 1}']
    )
    def test_what_is_no_mix_is_refused_with_the_form_it_should_have(self, tmp_path: Path, text: str):
        (tmp_path / "mix.json").write_text(text)
        with pytest.raises(ValueError, match=r'is not \{"weights": \{NAME: WEIGHT, \.\.\.\}, "strength": S\}.*; mend or'):
            read_mix(tmp_path / "mix.json", NAMES)

    def test_weights_that_are_no_mix_are_refused_too(self, tmp_path: Path):
        (tmp_path / "mix.json").write_text(json.dumps({"weights": {"wave": 0}, "strength": 1}))
        with pytest.raises(ValueError, match="all weights are 0"):
            read_mix(tmp_path / "mix.json", NAMES)


class TestSingleStyle:
    def test_is_one_hot_at_full_strength(self):
        codes = torch.stack([single_style(index, 4).code() for index in range(4)])
        assert torch.equal(codes, torch.eye(4))


class TestThroughStyles:
    MIX = Mix((1.0, 0.0, 1.0), 0.5)

    def test_begins_with_the_mix_and_stops_at_every_style_in_turn(self):
        assert torch.equal(through_styles(self.MIX).code(0.0), self.MIX.code())
        for index in range(3):
            torch.testing.assert_close(through_styles(self.MIX).code((index + 1) / 3), 0.5 * torch.eye(3)[index])

    def test_in_between_neighbours_are_blended_at_the_mixs_strength(self):
        torch.testing.assert_close(through_styles(self.MIX).code(1.25 / 3), torch.tensor([0.375, 0.125, 0.0]))
        for time in torch.linspace(0, 1, 23).tolist():
            assert float(through_styles(self.MIX).code(time).sum()) == pytest.approx(0.5)

    def test_a_spline_that_overshoots_stays_at_the_ends(self):
        assert torch.equal(through_styles(self.MIX).code(-0.1), self.MIX.code())
        torch.testing.assert_close(through_styles(self.MIX).code(1.2), 0.5 * torch.eye(3)[2])


def round_trip_codes(num_styles: int, num_frames: int) -> torch.Tensor:
    return torch.stack([round_trip(num_styles).code(frame / num_frames) for frame in range(num_frames)])


class TestRoundTrip:
    def test_passes_every_style_and_could_go_on_where_it_began(self):
        codes = round_trip_codes(3, 12)
        assert torch.equal(codes[::4], torch.eye(3))
        steps = (codes.roll(-1, 0) - codes).abs().sum(-1)
        torch.testing.assert_close(steps, torch.full((12,), 0.5))

    def test_every_code_has_full_strength_and_at_most_two_styles(self):
        codes = round_trip_codes(4, 30)
        torch.testing.assert_close(codes.sum(-1), torch.ones(30))
        assert int((codes > 1e-6).sum(-1).max()) == 2

    def test_one_style_has_nowhere_to_go(self):
        assert torch.equal(round_trip_codes(1, 3), torch.ones(3, 1))


class TestMixFilmSettings:
    def test_keyframes_are_mixes_at_times_in_any_order_with_what_lies_between(self):
        path = MixFilmSettings(keyframes=("1:0,0,1@0.5", "0:1,0,0", "0.5:0,2,2@1")).path_of(NAMES)
        assert path.times == (0.0, 0.5, 1.0)
        torch.testing.assert_close(path.code(0.0), torch.tensor([1.0, 0, 0]))
        torch.testing.assert_close(path.code(0.25), torch.tensor([0.5, 0.25, 0.25]))
        torch.testing.assert_close(path.code(0.75), torch.tensor([0.0, 0.25, 0.5]))
        torch.testing.assert_close(path.code(1.0), torch.tensor([0.0, 0.0, 0.5]))

    def test_before_the_first_and_after_the_last_keyframe_nothing_moves(self):
        path = MixFilmSettings(keyframes=("0.25:1,0,0@0", "0.75:0,1,0")).path_of(NAMES)
        assert path.code(0.0).tolist() == [0, 0, 0] and path.code(1.0).tolist() == [0, 1, 0]

    def test_without_them_the_mix_stays_all_the_time(self):
        path = MixFilmSettings((1.0, 0.0, 3.0), 0.5).path_of(NAMES)
        assert [path.code(time).tolist() for time in (0.0, 0.7)] == [[0.125, 0.0, 0.375]] * 2
        assert MixFilmSettings().path_of(NAMES).code(1.0).tolist() == [1, 0, 0]

    def test_or_what_a_command_shows_otherwise(self):
        trip = round_trip(3)
        assert MixFilmSettings().path_of(NAMES, trip) is trip
        assert MixFilmSettings(keyframes=("0:1,1,1",)).path_of(NAMES, trip).times == (0.0,)

    @pytest.mark.parametrize("said", [{"mix": (1.0, 0.0, 0.0)}, {"strength": 0.5}])
    def test_keyframes_beside_a_mix_are_refused(self, said):
        with pytest.raises(ValueError) as caught:
            MixFilmSettings(keyframes=("0:1,0,0",), **said).path_of(NAMES)
        assert str(caught.value) == "keyframes: mix, strength or at-stroke-size is given too; say them in the keyframes."

    @pytest.mark.parametrize("otherwise", [None, round_trip(3)])
    def test_a_mix_that_is_none_is_refused_whatever_is_shown(self, otherwise):
        with pytest.raises(ValueError, match=r"^strength: 2 is outside 0 \(the content\) to 1"):
            MixFilmSettings(strength=2.0).path_of(NAMES, otherwise)
        with pytest.raises(ValueError, match=r"^mix: 2 weights for 3 styles"):
            MixFilmSettings((1.0, 1.0)).path_of(NAMES, otherwise)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x", "keyframes: 'x' is not TIME:WEIGHTS@STRENGTH, such as 0.5:1,1,1@0.8."),
            ("0:1,a,1", "keyframes: '0:1,a,1' is not TIME:WEIGHTS@STRENGTH, such as 0.5:1,1,1@0.8."),
            ("2:1,0,0", "keyframes: the time of '2:1,0,0' is outside 0 (the first frame) to 1 (the last)."),
            ("nan:1,0,0", "keyframes: the time of 'nan:1,0,0' is outside 0 (the first frame) to 1 (the last)."),
            ("0:1", "keyframes: '0:1': 1 weights for 3 styles; give one for each of wave, candy, mosaic."),
            ("0:1,0,0@3", "keyframes: '0:1,0,0@3': 3 is outside 0 (the content) to 1 (full style)."),
            ("0:0,0,0", "keyframes: '0:0,0,0': all weights are 0; give one of wave, candy, mosaic a weight, and use a style "
             "strength of 0 for the content."),
        ],
    )  # fmt: skip
    def test_what_is_no_keyframe_is_refused(self, text: str, said: str):
        with pytest.raises(ValueError) as caught:
            MixFilmSettings(keyframes=("0:1,0,0", text)).path_of(NAMES)
        assert str(caught.value) == said


class TestMixOfACode:
    def test_has_that_code(self, random: torch.Generator):
        for mix in (Mix((1.0, 0.0, 3.0), 0.4), Mix((0.0, 1.0, 0.0)), Mix((2.0, 1.0, 1.0), 0.0)):
            torch.testing.assert_close(Mix.of_code(mix.code()).code(), mix.code())


def test_the_main_style_weighs_most():
    assert Mix((0.2, 0.5, 0.3)).main == 1 and Mix((1.0, 1.0)).main == 0


def test_towards_no_strength_the_pull_of_the_style_gives_way_to_the_contents():
    pairs = [strength_factors(strength) for strength in (0.01, 0.3, 0.7, 1.0)]
    assert pairs[-1] == (1.0, 0.0)
    assert [style for style, _ in pairs] == sorted(style for style, _ in pairs)
    assert [content for _, content in pairs] == sorted((content for _, content in pairs), reverse=True)
    assert 0 < pairs[0][1] < 1  # on top of what is set
