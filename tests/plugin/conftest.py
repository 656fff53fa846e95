"""Tiny scenes, a style picture, VGG-shaped weights and one short finished run, all made here."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.utils import profiler, writer

from tests.plugin.tiny_scenes import (
    Scene,
    build_pipeline,
    make_object_scene,
    make_open_scene,
    make_style_picture,
    make_tiny_vgg,
    small_config,
    train,
)


@pytest.fixture(autouse=True)
def clean_host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host collects writers and profilers in lists of its modules: a later run would write to an earlier one's.

    And it opens runs on a GPU where there is one, which `small_config` trains on the CPU: the two could not be compared.
    """
    if not request.node.get_closest_marker("gpu"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.manual_seed(0)
    writer.EVENT_WRITERS.clear()
    writer.EVENT_STORAGE.clear()
    writer.GLOBAL_BUFFER.clear()
    profiler.PROFILER.clear()
    yield


@pytest.fixture(scope="session")
def scenes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scenes lie, beside style.png and tiny_vgg.pth."""
    folder = tmp_path_factory.mktemp("scenes")
    make_style_picture(folder / "style.png")
    make_tiny_vgg(folder / "tiny_vgg.pth")
    return folder


@pytest.fixture(scope="session")
def open_scene(scenes_folder: Path) -> Scene:
    """A textured sphere before a textured plane, nerfstudio-data."""
    return make_open_scene(scenes_folder / "open_scene")


@pytest.fixture(scope="session")
def object_scene(scenes_folder: Path) -> Scene:
    """A textured sphere before nothing, RGBA, blender-data."""
    return make_object_scene(scenes_folder / "object_scene")


@pytest.fixture(scope="session")
def finished_run(open_scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The trainer of a finished run of both stages; look, and do not touch."""
    folder = tmp_path_factory.mktemp("finished")
    return train(small_config(open_scene, folder, content_steps=150, style_steps=40))


@pytest.fixture(scope="session")
def finished_state(finished_run: Any) -> dict[str, torch.Tensor]:
    """The finished run's parameters, copied."""
    return copy.deepcopy(finished_run.pipeline.state_dict())


@pytest.fixture
def trained_pipeline(open_scene: Scene, finished_state: dict[str, torch.Tensor], tmp_path: Path) -> Callable[..., Any]:
    """Makes a pipeline of one's own, content trained and the style stage not begun; edits as in `small_config`."""

    def make(**edits: Any) -> Any:
        pipeline = build_pipeline(small_config(open_scene, tmp_path, **edits))
        state = pipeline.state_dict()
        trained = {key: value for key, value in finished_state.items() if key.startswith("_model.ray_content.")}
        assert trained.keys() <= state.keys()
        torch.nn.Module.load_state_dict(pipeline, {**state, **copy.deepcopy(trained)})
        pipeline.model.eval()
        return pipeline

    return make
