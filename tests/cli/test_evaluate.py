"""`ins3d evaluate`, end to end: a finished run, and networks of the published shapes with random numbers."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import pytest
import torch
import torchvision

from ins3d.cli import evaluate
from ins3d.transfer import microast
from tests.plugin.conftest import clean_host, open_scene, scenes_folder  # noqa: F401
from tests.plugin.tiny_scenes import Scene, make_two_styles, small_config, train

VARIABLES = ("INS3D_PERCEPTUAL_WEIGHTS", "INS3D_FLOW_WEIGHTS", "INS3D_LPIPS_BACKBONE", "INS3D_PER_FRAME_WEIGHTS")
SMALL = ["--frames", "4", "--held-out", "2", "--gaps", "1", "2", "--pairs", "2"]
STYLES = ["first", "second"]
PER_FRAME = ("microast", "adain")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, no torch cache, no network."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)


@pytest.fixture(scope="module")
def run(open_scene: Scene, tmp_path_factory: Any) -> Path:
    """config.yml of a run of two styles."""
    folder = tmp_path_factory.mktemp("evaluated")
    config = small_config(open_scene, folder, content_steps=100, style_steps=10, model__styles=make_two_styles(folder))
    return train(config).base_dir / "config.yml"


@pytest.fixture(scope="module")
def networks(tmp_path_factory: Any) -> list[str]:
    """Options that name random weights."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    flow = torchvision.models.optical_flow.raft_small().state_dict()
    for name in ("weight", "bias"):  # nothing moves: random flows would be consistent nowhere
        flow[f"update_block.flow_head.conv2.{name}"].zero_()
    torch.save(flow, folder / "raft.pth")
    torch.save(torchvision.models.squeezenet1_1().state_dict(), folder / "squeezenet.pth")
    shapes = {
        "content_encoder": microast._Encoder, "style_encoder": microast._Encoder,
        "modulator": microast._Modulator, "decoder": microast._Decoder,
    }  # fmt: skip
    for part, network in shapes.items():
        torch.save(network().state_dict(), folder / f"{part}_iter_160000.pth.tar")
    return [
        "--flow-weights", str(folder / "raft.pth"), "--lpips-backbone", str(folder / "squeezenet.pth"),
        "--per-frame-weights", str(folder), "--per-frame", "microast", "adain", "--judge", "compact",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def evaluation(run: Path, networks: list[str], tmp_path_factory: Any) -> Path:
    """The folder of a finished evaluation of everything."""
    output = tmp_path_factory.mktemp("evaluation")
    evaluate.main(["--load-config", str(run), "--output", str(output), *SMALL, *networks])
    return output


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


class TestEvaluate:
    def test_every_row_of_every_protocol_has_its_numbers(self, evaluation: Path):
        found = report(evaluation)
        rows = [f"{kind}: {name}" for kind in ("stylised", "per-frame microast", "per-frame adain") for name in STYLES]
        rows = ["unstylised", *rows]
        assert found["rows"] == {"held-out": ["photographs", *rows], "views": ["photographs", *rows], "smooth": rows}
        assert found["not_measured"] == []
        smooth = found["consistency"]["smooth"]
        assert set(smooth) == {"G", "A", "B"} and set(smooth["G"]) == {"1", "2"}
        for gap in smooth["G"].values():
            assert list(gap) == rows
            assert all(set(numbers) == {"rmse", "lpips", "valid", "pairs"} for numbers in gap.values())

    def test_what_is_measured_is_what_happened(self, evaluation: Path):
        found = report(evaluation)
        assert found["geometry"]["smooth"]["first"] == {
            "depth_drift_median": 0, "depth_drift_p95": 0, "opacity_change": 0, "floating": 0,
        }  # fmt: skip
        assert found["pictures"]["photographs"]["colour_variance"] == pytest.approx(1)
        assert found["pictures"]["unstylised"] | {"colour_variance": 0, "high_frequency": 0} == {
            "colour_variance": 0, "high_frequency": 0, "ssim": pytest.approx(1), "edges": pytest.approx(1), "content": 0,
            "lpips": 0, "self_similarity": pytest.approx(1, abs=1e-5),
        }  # fmt: skip
        assert set(found["styles"]["stylised: first"]["gram"]) == set(STYLES)
        for name, sides in found["brushwork"].items():
            rows = [
                "photographs",
                "unstylised",
                f"stylised: {name}",
                *(f"per-frame {network}: {name}" for network in PER_FRAME),
            ]
            assert len(sides) == 2 and all(list(of_side) == rows for of_side in sides.values())
        assert found["trained"]["seconds"]["style"] > 0 and found["trained"]["peak_memory_mb"]["ram"] > 100
        assert found["cost"]["seconds_per_frame"] > 0 and found["cost"]["parameters"]["style"] > 0
        ratio = found["ratios"]["smooth"]["1"]["first"]
        gap = found["consistency"]["smooth"]["G"]["1"]
        assert ratio["mean"] == pytest.approx(gap["per-frame microast: first"]["rmse"] / gap["stylised: first"]["rmse"])
        pairs = [record for record in found["pairs"]["smooth"]["G"]["1"] if record["row"].endswith(": first")]
        errors = [
            [record["rmse"] for record in pairs if record["row"].startswith(kind)]
            for kind in ("per-frame microast", "stylised")
        ]
        assert ratio["least"] == pytest.approx(min(theirs / ours for theirs, ours in zip(*errors, strict=True)))

    def test_the_page_needs_nothing_else(self, evaluation: Path):
        page = (evaluation / "report.html").read_text()
        assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page
        plots = 2 * 3 * 2 + 6  # two paths, three protocols, two numbers; style against content
        assert page.count("<svg") == plots + 7 + 8 + 1  # and the keys of the legends; the paths' has photographs, too
        assert page.count('alt="the painting"') == len(STYLES)

    def test_every_word_that_heads_a_number_is_explained(self, evaluation: Path):
        page = (evaluation / "report.html").read_text()
        words = page.partition('id="words"')[2]
        for word in ("held-out", "views", "smooth", "gap", "per-frame", "valid", "REMD", "coherence", "spectrum", "SSIM"):
            assert re.search(rf"<dt>[^<]*{word}", words), word

    def test_what_is_finished_is_kept_and_what_is_missing_is_made(self, evaluation: Path, run: Path, networks: list[str]):
        picture = evaluation / "frames" / "smooth" / "unstylised" / "000.png"
        stage = evaluation / "stages" / "styles.json"
        before = (picture.stat().st_mtime_ns, stage.stat().st_mtime_ns)
        lost = evaluation / "stages" / "consistency_smooth_1_G.json"
        kept = json.loads(lost.read_text())
        lost.unlink()
        evaluate.main(["--load-config", str(run), "--output", str(evaluation), *SMALL, *networks])
        assert (picture.stat().st_mtime_ns, stage.stat().st_mtime_ns) == before
        assert json.loads(lost.read_text()) == kept

    def test_more_styles_can_be_asked_for_afterwards(self, evaluation: Path, run: Path, networks: list[str], tmp_path: Path):
        shutil.copytree(evaluation, tmp_path / "more")
        imageio.imwrite(tmp_path / "third.png", imageio.imread(run.parents[4] / "first.png")[::-1])
        more = ["--other-styles", str(tmp_path / "third.png")]
        evaluate.main(["--load-config", str(run), "--output", str(tmp_path / "more"), *SMALL, *networks, *more])
        assert set(report(tmp_path / "more")["styles"]["unstylised"]["gram"]) == {*STYLES, "third"}

    def test_without_networks_the_rest_is_measured_and_the_lack_is_said(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
    ):
        words = ["--load-config", str(run), "--output", str(tmp_path / "bare"), *SMALL]
        evaluate.main([*words, "--per-frame", "microast", "adain"])
        found = report(tmp_path / "bare")
        assert [line.partition(":")[0] for line in found["not_measured"]] == [
            "protocols A and B", "LPIPS", "per-frame microast",
        ]  # fmt: skip
        assert set(found["consistency"]["smooth"]) == {"G"} and set(found["ratios"]["smooth"]["1"]) == set(STYLES)
        rows = ["unstylised", *(f"stylised: {name}" for name in STYLES), *(f"per-frame adain: {name}" for name in STYLES)]
        assert found["rows"]["smooth"] == rows  # what ships paints frame by frame, too
        assert found["run"]["per_frame"] == "adain" and "one by one by adain" in (tmp_path / "bare/report.html").read_text()
        assert "lpips" not in found["pictures"]["unstylised"] and "compact" in found["judges"]["judge"]
        page = (tmp_path / "bare" / "report.html").read_text()
        assert "Not measured" in page and "flow-weights" in page
        assert "Not measured" in capsys.readouterr().out

    def test_a_network_that_is_added_later_measures_what_it_is_asked_for_alone(
        self, run: Path, networks: list[str], tmp_path: Path
    ):
        words = ["--load-config", str(run), "--output", str(tmp_path / "more"), *SMALL, "--judge", "compact"]
        evaluate.main(words)
        stages = tmp_path / "more" / "stages"
        before = {path.name: path.stat().st_mtime_ns for path in stages.iterdir()}
        assert before and not any("_AB" in name for name in before)
        evaluate.main([*words, *networks[:2]])
        after = {path.name: path.stat().st_mtime_ns for path in stages.iterdir()}
        assert before.items() <= after.items()
        assert sorted(after.keys() - before.keys()) == [
            f"consistency_{path}_{gap}_AB.json" for path in ("smooth", "views") for gap in (1, 2)
        ]

    def test_what_no_pair_could_say_is_said_on_the_page(self, run: Path, tmp_path: Path):
        words = ["--load-config", str(run), "--output", str(tmp_path), *SMALL, "--gaps", "3", "--judge", "compact"]
        evaluate.main([*words, "--paths", "held-out"])
        assert re.search(r"held-out, gap 3, protocol G: it has only [12] frames", (tmp_path / "report.html").read_text())
        evaluate.main([*words, "--protocols", "A"])  # without a network for flow
        assert report(tmp_path)["consistency"] == {} and "protocols A and B" in (tmp_path / "report.html").read_text()

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--load-config", "gone.yml"], "load-config: gone.yml does not exist; give the config.yml of a finished run."),
            (["--gaps", "4"], "gaps: 4; give one or more whole numbers from 1 to 3, or more frames."),
            (["--pairs", "0"], "pairs: 0 is too little; use 1 or more."),
            (["--other-styles", "gone.png"], "other-styles: "),
            (["--flow-weights", "gone.pth"], "flow-weights: gone.pth does not exist; "),
            (["--lpips-backbone", "gone.pth"], "lpips-backbone: gone.pth does not exist; "),
            (["--per-frame", "microast", "--per-frame-weights", "gone"], "per-frame-weights: gone does not exist; "),
            (["--per-frame", "microast", "--per-frame-weights", "."], "per-frame-weights: . (from the setting "),
        ],
    )
    def test_messages(self, run: Path, tmp_path: Path, words: list[str], message: str):
        with pytest.raises(SystemExit) as caught:
            evaluate.main(["--load-config", str(run), "--output", str(tmp_path), *SMALL, *words])
        assert str(caught.value).startswith(message)


@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")
class TestPage:
    """In a browser, as wide as a telephone and as a desk, in both themes."""

    @pytest.fixture(scope="class")
    def browser(self) -> Iterator[Any]:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            yield browser
            browser.close()

    @pytest.mark.parametrize("width", [400, 1400])
    def test_nothing_is_wider_than_the_window(self, browser: Any, evaluation: Path, width: int):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto((evaluation / "report.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == width

    def test_a_picture_fills_the_window_on_a_click_and_goes_back_on_another(self, browser: Any, evaluation: Path):
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.goto((evaluation / "report.html").as_uri())
        picture = page.locator(".strip img").first
        before = picture.bounding_box()
        picture.click()
        assert picture.bounding_box() == {"x": 0, "y": 0, "width": 400, "height": 800}
        picture.click()
        assert picture.bounding_box()["width"] == before["width"] < 400

    def test_both_themes_can_be_read(self, browser: Any, evaluation: Path):
        def brightness(page: Any, property: str) -> float:
            color = page.evaluate(f"getComputedStyle(document.body).{property}")
            return sum(map(int, re.findall(r"\d+", color)[:3])) / 765

        for theme in ("light", "dark"):
            page = browser.new_page(color_scheme=theme)
            page.goto((evaluation / "report.html").as_uri())
            ink, paper = (brightness(page, each) for each in ("color", "backgroundColor"))
            assert abs(ink - paper) > 0.7 and (paper > 0.5) == (theme == "light")


class TestCompare:
    def test_one_table_of_all_runs(self, evaluation: Path, tmp_path: Path):
        shutil.copytree(evaluation, tmp_path / "other")
        evaluate.main(["compare", str(evaluation), str(tmp_path / "other"), "--output", str(tmp_path)])
        told = json.loads((tmp_path / "comparison.json").read_text())
        assert [line["style"] for line in told["table"]] == STYLES * 2 and told["differ"] == []
        found = report(evaluation)
        cells = told["table"][1]["cells"]
        assert cells["smooth, gap 1: RMSE (G)"] == found["consistency"]["smooth"]["G"]["1"]["stylised: second"]["rmse"]
        assert cells["gram to its style"] == found["styles"]["stylised: second"]["gram"]["second"]
        page = (tmp_path / "comparison.html").read_text()
        assert "colour variance" in page and not re.findall(r'(?:src|href)="(?!data:|#)', page)
        # Each style's painting and content once, and both runs' views.
        assert page.count('alt="the painting"') == len(STYLES)
        assert all(page.count(f'alt="{label}, view 1"') == 2 for label in ("unstylised", *told["runs"]))

    def test_judges_that_differ_are_named(self, evaluation: Path, tmp_path: Path):
        other = report(evaluation)
        other["judges"]["lpips"] = "LPIPS alex"
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "report.json").write_text(json.dumps(other))
        evaluate.main(["compare", str(evaluation), str(tmp_path / "other"), "--output", str(tmp_path / "out")])
        differ = json.loads((tmp_path / "out" / "comparison.json").read_text())["differ"]
        assert len(differ) == 1 and differ[0].startswith("lpips: ") and "LPIPS alex" in differ[0]

    def test_conditions_that_differ_are_named(self, evaluation: Path, tmp_path: Path):
        other = report(evaluation)
        other["conditions"] |= {"data": "scenes/other", "frames": 6}
        other["judges"]["flow"] = other["judges"]["flow"].replace("the setting flow-weights", "torch's cache")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "report.json").write_text(json.dumps(other))
        evaluate.main(["compare", str(evaluation), str(tmp_path / "other"), "--output", str(tmp_path / "out")])
        differ = json.loads((tmp_path / "out" / "comparison.json").read_text())["differ"]
        assert [line.partition(":")[0] for line in differ] == ["data", "frames"] and differ[1] == "frames: 4; 6"

    def test_a_run_and_its_evaluation_are_one(self, evaluation: Path, tmp_path: Path):
        shutil.copytree(evaluation, tmp_path / "run" / "evaluation")
        with pytest.raises(SystemExit, match="^runs: one is named twice; name every run once.$"):
            evaluate.main(["compare", str(tmp_path / "run"), str(tmp_path / "run" / "evaluation")])

    @pytest.mark.parametrize(
        ("contents", "message"), [(None, "evaluate that run first"), ("{}", "is not what ins3d evaluate writes")]
    )
    def test_messages(self, evaluation: Path, tmp_path: Path, contents: str | None, message: str):
        if contents is not None:
            (tmp_path / "report.json").write_text(contents)
        with pytest.raises(SystemExit, match=message):
            evaluate.main(["compare", str(evaluation), str(tmp_path)])
        with pytest.raises(SystemExit, match="^runs: one is named twice; name every run once.$"):
            evaluate.main(["compare", str(evaluation), str(evaluation)])
        with pytest.raises(SystemExit, match="^runs: 1 is too few to compare; name two or more.$"):
            evaluate.main(["compare", str(evaluation)])
