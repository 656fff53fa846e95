"""scripts/measure/styles.py on a finished run of two styles."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import clean_host, open_scene, scenes_folder  # noqa: F401
from tests.plugin.tiny_scenes import Scene, make_two_styles, small_config, train
from tests.scripts.loading import load_script

measure_styles = load_script("measure/styles")


@pytest.fixture(scope="module")
def run(open_scene: Scene, tmp_path_factory: Any) -> Path:
    """config.yml of a run of two styles."""
    folder = tmp_path_factory.mktemp("two")
    return (
        train(small_config(open_scene, folder, style_steps=6, model__styles=make_two_styles(folder))).base_dir / "config.yml"
    )


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
