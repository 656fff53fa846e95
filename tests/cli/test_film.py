"""`ins3d film`, end to end: a finished run of two styles becomes three videos, or its mix is saved."""

import json
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import pytest

from ins3d.plugin.finished.films import Film, run_film
from tests.plugin.conftest import clean_host, open_scene, scenes_folder  # noqa: F401
from tests.plugin.tiny_scenes import HEIGHT, WIDTH, Scene, make_two_styles, small_config, train


@pytest.fixture(scope="module")
def run(open_scene: Scene, tmp_path_factory: Any) -> Path:
    """config.yml of a run of two styles."""
    folder = tmp_path_factory.mktemp("two")
    return (
        train(small_config(open_scene, folder, style_steps=6, model__styles=make_two_styles(folder))).base_dir / "config.yml"
    )


class TestFilm:
    def test_one_command_makes_three_videos_of_every_frame(self, run: Path, tmp_path: Path):
        run_film(Film(load_config=run, output=tmp_path, frames=4, fps=4))
        shapes = {path.stem: (len(frames := imageio.mimread(path)), *frames[0].shape[:2]) for path in tmp_path.iterdir()}
        assert shapes == {
            "morph": (4, HEIGHT, WIDTH), "strength": (4, HEIGHT, WIDTH), "grid": (4, HEIGHT, 3 * WIDTH),
        }  # fmt: skip

    def test_a_mix_is_saved_where_ns_render_finds_it(self, run: Path):
        run_film(Film(load_config=run, mix=(1.0, 3.0), strength=0.5, save_mix=True))
        saved = run.parent / "style_mix.json"
        assert json.loads(saved.read_text()) == {"weights": {"first": 1.0, "second": 3.0}, "strength": 0.5}
        saved.unlink()

    @pytest.mark.parametrize(
        ("edits", "message"),
        [
            ({"mix": (1.0,)}, "mix: 1 weights for 2 styles; give one for each of first, second."),
            ({"mix": (0.0, 0.0)}, "mix: all weights are 0; give one of first, second a weight"),
            ({"frames": 1}, "frames, fps, scale: 1, 12, 1 make no video; use 2 or more frames"),
        ],
    )
    def test_errors_name_the_setting(self, run: Path, edits: dict[str, Any], message: str):
        with pytest.raises(ValueError) as caught:
            run_film(Film(load_config=run, **edits))
        assert str(caught.value).startswith(message)
