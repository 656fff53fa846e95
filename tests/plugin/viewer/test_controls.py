import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import viser
from nerfstudio.viewer.utils import parse_object
from nerfstudio.viewer.viewer_elements import ViewerElement

from ins3d.plugin.viewer.controls import MIXED, StyleControls
from ins3d.style.mix import Mix, read_mix

NAMES = ("wave", "candy", "mosaic")


@pytest.fixture
def controls() -> StyleControls:
    return StyleControls(NAMES, Mix((1.0, 0.0, 0.0)))


def sliders(controls: StyleControls) -> list[float]:
    return [slider.value for slider in controls.weights]


class TestCode:
    def test_is_the_settings_mix_until_something_is_moved(self):
        mix = Mix((0.2, 0.0, 0.6), 0.5)
        torch.testing.assert_close(StyleControls(NAMES, mix).code(), mix.code())

    def test_follows_sliders_strength_and_switch(self, controls: StyleControls):
        controls.weights[1].value = 1.0
        controls.strength.value = 0.5
        torch.testing.assert_close(controls.code(), torch.tensor([0.25, 0.25, 0.0]))
        controls.stylized.value = False
        assert controls.code().tolist() == [0, 0, 0]

    def test_with_all_sliders_at_0_it_is_the_content(self, controls: StyleControls):
        controls.weights[0].value = 0.0
        assert controls.code().tolist() == [0, 0, 0]

    def test_time_walks_along_the_styles(self, controls: StyleControls):
        assert torch.equal(controls.code(2 / 3), torch.eye(3)[1])
        controls.stylized.value = False
        assert controls.code(2 / 3).tolist() == [0, 0, 0]


class TestDropDown:
    def test_choosing_a_style_moves_the_sliders(self, controls: StyleControls):
        controls.weights[0].value = 0.4
        controls.single.value = "mosaic"
        controls.single.cb_hook(controls.single)
        assert sliders(controls) == [0, 0, 1]

    def test_moving_a_slider_says_when_it_is_a_mix(self, controls: StyleControls):
        controls.weights[2].value = 0.5
        controls.weights[2].cb_hook(controls.weights[2])
        assert controls.single.value == MIXED
        controls.single.cb_hook(controls.single)  # which must not move the sliders back
        assert sliders(controls) == [1, 0, 0.5]
        controls.weights[0].value = 0.0
        controls.weights[0].cb_hook(controls.weights[0])
        assert controls.single.value == "mosaic"


def test_long_names_can_be_broken_into_lines():
    controls = StyleControls(("the_starry_night",), Mix((1.0,)))
    assert controls.weights[0].name == "the starry night" and controls.single.value == "the_starry_night"


class TestInAServer:
    """A real server calls hooks whenever a value changes, also when it is the controls themselves that change it."""

    @pytest.fixture
    def served(self, controls: StyleControls) -> Iterator[StyleControls]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        server = viser.ViserServer(port=port, verbose=False)
        for element in [*controls.of_all, *controls.of_paintings, *controls.of_the_mix]:
            element.install(server)
        yield controls
        server.stop()

    @staticmethod
    def settle(controls: StyleControls, *expected: float) -> None:
        """Hooks run in threads of the server's."""
        deadline = time.monotonic() + 10
        while sliders(controls) != list(expected) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        assert sliders(controls) == list(expected)

    def test_taking_one_of_two_styles_away_leaves_the_other_slider_alone(self, served: StyleControls):
        served.weights[0].value = 0.3
        served.weights[1].value = 0.3
        served.weights[0].value = 0.0
        self.settle(served, 0.0, 0.3, 0.0)
        assert served.single.value == "candy"

    def test_a_slider_raised_from_nothing_stays_where_it_is(self, served: StyleControls):
        served.weights[0].value = 0.0
        served.weights[2].value = 0.25
        self.settle(served, 0.0, 0.0, 0.25)

    def test_choosing_a_style_shows_it_alone(self, served: StyleControls):
        served.weights[1].value = 0.5
        self.settle(served, 1.0, 0.5, 0.0)
        served.single.value = "mosaic"
        self.settle(served, 0.0, 0.0, 1.0)
        assert served.single.value == "mosaic"

    def test_drop_down_and_sliders_agree_however_the_hooks_threads_interleave(
        self, served: StyleControls, monkeypatch: pytest.MonkeyPatch
    ):
        """It failed: one thread found a mix while the next slider was moved, and wrote it after another's "mosaic"."""
        looked, delays = StyleControls.mix.fget, itertools.cycle([0.08, 0.04, 0.0])  # the first to look writes last

        def slowly(controls: StyleControls) -> Mix | None:
            mix = looked(controls)
            time.sleep(next(delays))
            return mix

        monkeypatch.setattr(StyleControls, "mix", property(slowly))
        for chosen, expected in [("mosaic", (0.0, 0.0, 1.0)), ("candy", (0.0, 1.0, 0.0))] * 3:
            served.single.value = chosen
            self.settle(served, *expected)
            assert served.single.value == chosen

    def test_a_click_is_not_lost_to_a_slider_that_still_moves(self, served: StyleControls):
        served.single.gui_handle._impl.value = "mosaic"  # the click has come, its hook has not run
        served._weighed(served.weights[0])
        assert served.single.value == "mosaic"
        served._choose(served.single)
        self.settle(served, 0.0, 0.0, 1.0)


class TestSaving:
    def test_what_is_saved_is_what_the_next_one_shows(self, controls: StyleControls, tmp_path: Path):
        controls.take_saved(tmp_path / "mix.json")
        controls.weights[1].value, controls.strength.value = 0.5, 0.8
        controls.save.cb_hook(controls.save)
        assert read_mix(tmp_path / "mix.json", NAMES) == Mix((1.0, 0.5, 0.0), 0.8)
        later = StyleControls(NAMES, Mix((0.0, 0.0, 1.0)))
        later.take_saved(tmp_path / "mix.json")
        torch.testing.assert_close(later.code(), controls.code())
        assert later.single.value == MIXED

    def test_switched_off_the_content_is_saved(self, controls: StyleControls, tmp_path: Path):
        controls.take_saved(tmp_path / "mix.json")
        controls.stylized.value = False
        controls.save.cb_hook(controls.save)
        assert read_mix(tmp_path / "mix.json", NAMES).strength == 0

    def test_all_sliders_at_0_are_not_saved_and_the_button_says_why(self, controls: StyleControls, tmp_path: Path):
        controls.take_saved(tmp_path / "mix.json")
        controls.weights[0].value = 0.0
        controls.save.cb_hook(controls.save)
        assert not (tmp_path / "mix.json").exists()
        assert controls.told.value.startswith("not saved: the sliders: all weights are 0")

    def test_a_folder_that_cannot_be_written_to_is_said_too(self, controls: StyleControls, tmp_path: Path):
        (tmp_path / "file").touch()
        controls.take_saved(tmp_path / "file" / "mix.json")
        controls.save.cb_hook(controls.save)
        assert controls.told.value.startswith("not saved: ")


class TestWhatIsShown:
    @staticmethod
    def names_of(controls: StyleControls) -> list[str]:
        return [element.name for element in [*controls.of_all, *controls.of_paintings, *controls.of_the_mix]]

    def test_several_styles_have_a_slider_each(self, controls: StyleControls):
        several = ["Stylised", "Strength", "Style", "wave", "candy", "mosaic", "Save this mix", "Saved", "Keyframes"]
        assert self.names_of(controls) == several

    def test_a_lone_style_has_none_for_its_share_is_all(self):
        lone = StyleControls(("wave",), Mix((0.3,)))
        assert self.names_of(lone) == ["Stylised", "Strength", "Save this mix", "Saved"]
        assert lone.code().tolist() == [1.0]

    def test_one_painting_at_several_stroke_sizes_has_their_dial(self):
        assert self.names_of(StyleControls(("wave x1", "wave x4"), Mix((1.0, 0.0))))[2] == "Stroke size"

    def test_the_host_finds_none_of_them_and_shows_none_under_its_folders(self, trained_pipeline):
        assert parse_object(trained_pipeline(), ViewerElement, "Custom Elements") == []
