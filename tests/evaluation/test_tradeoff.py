from typing import Any

from ins3d.evaluation.plots import RUN_COLORS
from ins3d.evaluation.tradeoff import tradeoff


def report(remd: float, *sides: str) -> dict[str, Any]:
    def rows(ours: float) -> dict[str, dict[str, float]]:
        def numbers(distance: float, ssim: float) -> dict[str, float]:
            return {"gram": distance, "remd": distance, "coherence": distance, "ssim": ssim}

        return {
            "photographs": numbers(0.9, 0.8), "unstylised": numbers(1.0, 1.0), "stylised: wave": numbers(ours, 0.5),
            "per-frame: wave": numbers(0.4, 0.3),
        }  # fmt: skip

    kept = {label: {"self_similarity": 0.9} for label in ("unstylised", "stylised: wave", "per-frame: wave")}
    return {"brushwork": {"wave": {side: rows(remd) for side in sides}}, "pictures": kept}


def test_one_run_stands_between_its_floor_and_its_ceiling():
    found = tradeoff({"": report(0.5, "256", "540")})
    labels = [entry["label"] for entry in found["legend"]]
    assert labels == ["unstylised, against wave", "per-frame: wave", "stylised: wave"]
    assert [plot["title"] for plot in found["plots"]] == [
        "Gram and SSIM, the painting at 540 pixels", "REMD and SSIM, the painting at 540 pixels",
        "Coherence and SSIM, the painting at 540 pixels", "REMD and Self-similarity, the painting at 540 pixels",
        "Gram and SSIM, the painting at 256 pixels", "REMD and SSIM, the painting at 256 pixels",
    ]  # fmt: skip


def test_one_size_is_not_shown_twice():
    assert len(tradeoff({"": report(0.5, "256")})["plots"]) == 4


def test_of_several_runs_each_has_its_point_and_what_they_share_stands_once():
    found = tradeoff({"a": report(0.5, "256"), "b": report(0.6, "256")})
    assert [entry["label"] for entry in found["legend"]] == [
        "unstylised, against wave", "per-frame: wave", "a: wave", "b: wave",
    ]  # fmt: skip
    for color in RUN_COLORS[:2]:
        assert all(color in plot["svg"] for plot in found["plots"])
