"""The scripts that look at a finished run of several styles, end to end."""

import json
import sys
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import pytest
from tiny_scenes import HEIGHT, WIDTH, Scene, make_two_styles, small_config, train

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import measure_styles  # noqa: E402
import render_styles  # noqa: E402


@pytest.fixture(scope="module")
def run(open_scene: Scene, tmp_path_factory: Any) -> Path:
    """config.yml of a run of two styles."""
    folder = tmp_path_factory.mktemp("two")
    return (
        train(small_config(open_scene, folder, style_steps=6, model__styles=make_two_styles(folder))).base_dir / "config.yml"
    )


class TestRenderStyles:
    def test_one_command_makes_three_videos_of_every_frame(self, run: Path, tmp_path: Path):
        render_styles.main(render_styles.Settings(run, tmp_path, frames=4, fps=4))
        shapes = {path.stem: (len(frames := imageio.mimread(path)), *frames[0].shape[:2]) for path in tmp_path.iterdir()}
        assert shapes == {
            "morph": (4, HEIGHT, WIDTH), "strength": (4, HEIGHT, WIDTH), "grid": (4, HEIGHT, 3 * WIDTH),
        }  # fmt: skip

    def test_a_mix_is_saved_where_ns_render_finds_it(self, run: Path):
        render_styles.main(render_styles.Settings(run, mix=(1.0, 3.0), strength=0.5, save_mix=True))
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
            render_styles.main(render_styles.Settings(run, **edits))
        assert str(caught.value).startswith(message)


class TestMeasureStyles:
    def test_the_report_says_what_the_runs_are(self, run: Path, tmp_path: Path):
        measure_styles.main(measure_styles.Settings(run, output=tmp_path))
        report = json.loads((tmp_path / "styles.json").read_text())
        assert report["styles"] == ["first", "second"]
        assert report["depth"] == {"largest_change": 0, "median_drift": 0}  # locked
        for name in report["styles"]:
            assert report["strength"][name]["psnr_at_0"] is None
            assert report["strength"][name]["from_content"][0] == 0
            # Full strength is the style itself.
            assert report["strength"][name]["to_style"][-1] == pytest.approx(report["each"][name]["here"])
        there, back = report["mixes"]["first to second"], report["mixes"]["second to first"]
        # Shares of 1 - .05 and of .95 are not the same float.
        assert there["to_first"][::-1] == pytest.approx(back["to_second"], rel=1e-4)
        assert {path.name for path in tmp_path.iterdir()} == {"styles.json", "mixes.png", "strengths.png"}

    @pytest.mark.parametrize(("values", "expected"), [([1.0, 1.0, 2.0], True), ([1.0, 2.0, 1.9], False)])
    def test_monotone_is_never_falling(self, values: list[float], expected: bool):
        assert measure_styles.is_monotone(values) == expected
