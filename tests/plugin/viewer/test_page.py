"""The real page on a real socket; a websocket in place of a browser moves and looks."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock, Thread, current_thread
from types import ModuleType
from typing import Any

import pytest
import torch
from nerfstudio.configs.base_config import ViewerConfig

from ins3d.plugin.viewer.page import ScenePage
from ins3d.plugin.viewer.renders import SMALLEST, rungs
from tests.plugin.tiny_scenes import Scene, build_trainer, small_config
from tests.scripts.loading import load_script

FULL = 160
"""Pixels: of a full picture, which takes long on a busy machine."""
PATIENCE = 90.0


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    return load_script("measure/viewer")


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.01)


@pytest.fixture
def served(pages: ModuleType, trained_pipeline: Callable[..., Any], tmp_path: Path) -> Iterator[ScenePage]:
    """Of a scene that nobody trains."""
    pipeline = trained_pipeline()
    config = ViewerConfig(websocket_port=pages.free_port())
    page = ScenePage(config, tmp_path / "run" / "log", tmp_path, pipeline, train_lock=Lock())
    page.init_scene(pipeline.datamanager.train_dataset, "completed")
    page.control_panel._max_res.value = FULL
    yield page
    page.viser_server.stop()


@pytest.fixture
def page(pages: ModuleType, served: ScenePage) -> Any:
    """Opened, and drawn to the end."""
    opened = pages.Page(served.viser_server.get_port())
    wait_for(lambda: opened.pictures and opened.pictures[-1][1] == FULL, "the full picture")
    opened.settled(quiet=0.5, most=PATIENCE)
    return opened


def widths(page: Any) -> list[int]:
    return [width for _, width, _ in page.pictures]


class TestRungs:
    @pytest.mark.parametrize("full", [64, 128, 300, 512, 1024])
    def test_pictures_grow_to_the_full_one(self, full: int):
        sides = rungs(SMALLEST, full)
        assert sides == sorted(set(sides)) and sides[-1] == full


class TestOpening:
    def test_at_the_first_view_with_pictures_that_grow(self, page: Any, served: ScenePage):
        view = served.first_view
        torch.testing.assert_close(torch.tensor(page.position / 10), view.position.double(), atol=1e-5, rtol=0)
        assert page.fov == pytest.approx(view.field_of_view(1.27))
        last = widths(page)[widths(page).index(128) :] if 128 in widths(page) else widths(page)[-2:]
        assert last == sorted(set(last)) and last[-1] == FULL

    def test_the_style_panel_is_first_and_nothing_can_be_paused(self, page: Any, served: ScenePage):
        first = min(page.controls.values(), key=lambda control: control["order"])
        assert first["label"] == "Style" and [*page.controls].index("Stylised") > 0
        assert not served.pause_train.visible and not served.resume_train.visible
        labels = [*page.controls]
        assert labels.count("Time") == 1 and not served.control_panel._time.gui_handle.visible

    def test_training_cameras_are_made_when_they_are_asked_for(self, served: ScenePage):
        assert served.show_images.visible and not served.hide_images.visible and served.camera_handles == {}
        served.set_camera_visibility(True)
        assert len(served.camera_handles) == len(served.pipeline.datamanager.train_dataset)
        assert all(handle.visible for handle in served.camera_handles.values())


class TestResting:
    def test_no_thread_that_has_drawn_is_left(self, page: Any, served: ScenePage):
        """Its OpenMP threads would be with it: training beside them took a quarter longer."""
        (renders,) = served.render_statemachines.values()
        drew, show = [], renders._show
        renders._show = lambda side: (drew.append(current_thread()), show(side))[1]  # type: ignore[method-assign]
        renders.move()
        wait_for(lambda: drew and not renders.busy, "the pictures")
        assert all(thread is not renders and not thread.is_alive() for thread in drew)


class TestMoving:
    def test_a_picture_that_is_being_drawn_is_dropped(self, page: Any, served: ScenePage):
        served.control_panel._max_res.value = 1500
        del page.pictures[:]
        page.turn(0.1)  # what was set is drawn when something moves
        wait_for(lambda: page.pictures, "a coarse picture, behind which the large one is drawn")
        del page.pictures[:]
        page.turn(0.1)
        wait_for(lambda: page.pictures, "a coarse picture again")
        assert SMALLEST <= widths(page)[0] < 1500
        served.control_panel._max_res.value = 64  # a million rays are not waited for

    def test_a_slider_gives_a_coarse_picture_then_finer_ones(self, page: Any):
        del page.pictures[:]
        page.set_control("Strength", 0.5)
        wait_for(lambda: page.pictures and widths(page)[-1] == FULL, "the full picture")
        assert widths(page)[0] < FULL

    def test_what_changes_nothing_draws_nothing(self, page: Any, served: ScenePage):
        del page.pictures[:]
        page.set_control("Stylised", False)
        wait_for(lambda: page.pictures and widths(page)[-1] == FULL, "the full picture")
        wait_for(lambda: not any(renders.busy for renders in served.render_statemachines.values()), "its end")
        del page.pictures[:]
        page.set_control("Strength", 0.5)
        wait_for(lambda: served._controls.strength.value == 0.5, "the slider")
        time.sleep(0.5)
        assert page.pictures == []


def test_a_training_shows_every_stage_and_its_end(pages: ModuleType, open_scene: Scene, tmp_path: Path):
    """Samples are kept in the middle of a step: nothing was said, and nothing drawn, until they were."""
    config = small_config(open_scene, tmp_path, vis="viewer", content_steps=6, style_steps=4)
    config.viewer.websocket_port, config.viewer.max_num_display_images = pages.free_port(), 1
    trainer = build_trainer(config)
    shown: list[tuple[str, int]] = []
    viewer = trainer.viewer_state
    assert isinstance(viewer, ScenePage) and viewer.pause_train.visible
    viewer.control_panel._max_res.value, viewer.control_panel._train_util.value = 32, 0.0
    page = pages.Page(config.viewer.websocket_port)
    say = viewer.say
    viewer.say = lambda doing, share: (say(doing, share), shown.append((doing, len(page.pictures))))[0]
    thread = Thread(target=trainer.train)
    thread.start()
    thread.join(PATIENCE)
    viewer.viser_server.stop()
    stages = {
        stage: [number for doing, number in shown if doing.startswith(stage)] for stage in ("content", "keeping", "style")
    }
    assert all(numbers and numbers[-1] > 0 for numbers in stages.values())
    assert shown[-1][0].startswith("style 4/4")
    assert len(page.pictures) > 10  # with no time for training alone, one after every step
    assert trainer.train_lock.acquire(blocking=False)
