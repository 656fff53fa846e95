import re
from pathlib import Path

import pytest
import torch

from ins3d.files.pictures import write_rgb
from ins3d.style.mix import MixFilmSettings, MixSettings, read_keyframes
from ins3d.style.stroke_sizes import StrokeDial, at_stroke_sizes
from ins3d.style.styles import find_styles, parse_style, style_names

NAMES = ("wave x0.5", "wave x1", "wave x2", "candy x0.5", "candy x1", "candy x2")


@pytest.fixture
def wave(tmp_path: Path) -> str:
    write_rgb(tmp_path / "wave.png", torch.rand(3, 20, 30))
    return str(tmp_path / "wave.png")


class TestSpelling:
    def test_a_style_says_its_own_stroke_size(self, wave: str):
        (style,) = find_styles([f"broad={wave}@0,0,.5,1@x2"])
        assert style.sources[0].stroke_size == 2 and style.sources[0].crop == (0, 0, 0.5, 1)
        assert parse_style(str(style), "styles") == style

    def test_without_one_it_is_written_as_before(self, wave: str):
        assert str(find_styles([wave])[0]) == wave

    @pytest.mark.parametrize("size", ["0", "100", "0.1"])
    def test_sizes_that_cannot_be_painted_are_refused(self, wave: str, size: str):
        message = f"styles: {wave}@x{size}: strokes of {float(size):g} times the usual size cannot be painted; use 0.2 to 5."
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            parse_style(f"{wave}@x{size}", "styles")


class TestAtStrokeSizes:
    def test_every_painting_comes_at_every_size(self, wave: str):
        styles = at_stroke_sizes(find_styles([wave]), (2.0, 0.5, 1.0), "stroke-sizes")
        assert [style.name for style in styles] == ["wave x0.5", "wave x1", "wave x2"]
        assert [style.sources[0].stroke_size for style in styles] == [0.5, 1, 2]
        # What a run's config keeps is read again as the same.
        assert find_styles([str(style) for style in styles]) == styles
        assert style_names([str(style) for style in styles]) == ("wave x0.5", "wave x1", "wave x2")

    def test_no_sizes_change_nothing(self, wave: str):
        assert at_stroke_sizes(find_styles([wave]), (), "stroke-sizes") == find_styles([wave])

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ((1.0, 100.0), "stroke-sizes: strokes of 100 times the usual size cannot be painted; use 0.2 to 5."),
            ((1.0, 2.0, 1.0), "stroke-sizes: 1 2 1 names a size twice; name each once."),
        ],
    )
    def test_bad_sizes_are_refused(self, wave: str, sizes: tuple[float, ...], message: str):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            at_stroke_sizes(find_styles([wave]), sizes, "stroke-sizes")

    def test_sizes_of_strokes_that_are_large_already_are_refused_by_the_setting(self, wave: str):
        styles = find_styles([f"broad={wave}@x4"])
        message = f"stroke-sizes: broad={wave}@x4: strokes of 8 times the usual size cannot be painted; use 0.2 to 5."
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            at_stroke_sizes(styles, (1.0, 2.0), "stroke-sizes")


class TestStrokeDial:
    def test_names_that_only_look_sized_are_paintings_of_their_own(self):
        dial = StrokeDial(("pop x2", "wave"))
        assert dial.paintings == ("pop x2", "wave") and dial.span is None

    @pytest.mark.parametrize("names", [("cube x0", "cube x1"), ("cube x1.2.3", "cube x2"), ("cube x.", "cube x1")])
    def test_names_of_files_that_are_no_sizes_are_paintings_of_their_own(self, names: tuple[str, ...]):
        assert StrokeDial(names).paintings == names and StrokeDial(names).span is None

    @pytest.mark.parametrize(
        ("size", "weights"), [(0.5, (1, 0, 0)), (1.0, (0, 1, 0)), (2.0, (0, 0, 1)), (2**0.5, (0, 0.5, 0.5))]
    )
    def test_a_size_between_two_weighs_both_by_its_logarithm(self, size: float, weights: tuple[float, ...]):
        assert StrokeDial(NAMES).weights((1.0, 0.0), size) == pytest.approx((*weights, 0, 0, 0))

    def test_what_was_turned_is_read_again(self):
        dial = StrokeDial(NAMES)
        paintings, size = dial.read(dial.weights((0.25, 0.75), 1.3))
        assert paintings == pytest.approx((0.25, 0.75)) and size == pytest.approx(1.3)


class TestMixes:
    def test_weights_of_paintings_and_a_size(self):
        assert MixSettings((1.0, 1.0), 1.0, 2.0).mix_of(NAMES).code().tolist() == [0, 0, 0.5, 0, 0, 0.5]

    def test_without_a_size_strokes_are_as_usual(self):
        assert MixSettings().mix_of(NAMES).code().tolist() == [0, 1, 0, 0, 0, 0]

    def test_weights_of_all_styles_are_taken_as_they_are(self):
        assert MixSettings((1.0, 0.0, 1.0, 0.0, 0.0, 0.0)).mix_of(NAMES).code().tolist() == [0.5, 0, 0.5, 0, 0, 0]

    def test_keyframes_turn_the_dial(self):
        path = read_keyframes(["0:1,0@1x0.5", "1:1,0@.5x2"], NAMES)
        assert path.code(0.0).tolist() == [1, 0, 0, 0, 0, 0] and path.code(1.0).tolist() == [0, 0, 0.5, 0, 0, 0]

    @pytest.mark.parametrize(
        ("settings", "names", "message"),
        [
            (
                MixSettings(at_stroke_size=3.0), NAMES,
                "at-stroke-size: 3 lies outside the stroke sizes 0.5 to 2 that were trained.",
            ),
            (
                MixSettings(at_stroke_size=2.0), ("wave",),
                "at-stroke-size: 2 is not to be had of one stroke size; train several (stroke-sizes).",
            ),
            (
                MixSettings((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), at_stroke_size=1.0), NAMES,
                "at-stroke-size: mix says it already; give a weight for each of wave, candy.",
            ),
        ],
    )  # fmt: skip
    def test_sizes_that_were_not_trained_are_refused(self, settings: MixSettings, names: tuple[str, ...], message: str):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            settings.mix_of(names)

    def test_a_size_beside_keyframes_is_refused(self):
        message = "keyframes: mix, strength or at-stroke-size is given too; say them in the keyframes."
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            MixFilmSettings(at_stroke_size=1.0, keyframes=("0:1,0",)).path_of(NAMES)
