"""`ins3d evaluate frames`: what is measured on frames of any program, and what is said about it."""

import json
from dataclasses import asdict
from typing import Any

import torch
from rich.table import Table

from ins3d.evaluation import optical_flow
from ins3d.evaluation.consistency import Judges, Protocol, pair_warps, summarise
from ins3d.evaluation.frame_judge import JUDGED_SIDE, FrameJudge, load_judge, own_side
from ins3d.evaluation.frames import Row
from ins3d.evaluation.given_frames import CONTENT, GivenFrames, Matched, evenly, match, working_size
from ins3d.evaluation.judges import load_or_say
from ins3d.evaluation.measures import mean_numbers
from ins3d.evaluation.optical_flow import load_flow
from ins3d.evaluation.pictures import embedded, error_map, flicker_strip
from ins3d.evaluation.posed_depth import PosedDepth
from ins3d.evaluation.report import render_page
from ins3d.evaluation.settings import EvaluateFrames, check_frames
from ins3d.evaluation.stages import measure_gap, tracked
from ins3d.evaluation.statistics import blur_numbers, colour_variance, structural_similarity
from ins3d.files.pictures import resize_long_side
from ins3d.files.run_record import run_record
from ins3d.files.sequences import open_sequence
from ins3d.files.whole import replace_file
from ins3d.perception import lpips
from ins3d.runs.record import CONSOLE, make_folder
from ins3d.style.styles import find_styles

PAINTED = Row("stylised")
Pairs = dict[Protocol, dict[str, list[dict[str, Any]]]]
"""By protocol and gap: a record for each pair and row."""
SUREST: tuple[Protocol, ...] = ("G", "B", "A")
"""The verdict is by the first that was measured: G has no error of flow, B trusts flow to a pixel."""
STEADY, FLICKERS = 0.15, 0.2
"""Shares of what unrelated frames differ by (`flicker`): below the one frames hold still; from the other on they flicker.

Frames of fox and fern painted one by one by MicroAST lie at .25 to .27, by every protocol; this project's at .11 and .13 by
G, and at .16 to .17 by A and B, whose flow errs more where there are strokes.
"""
BLURRED = 0.5
"""Share of the content's high frequencies below which blur is said."""
WORSE_GRAM, WORSE_REMD = 0.1, 1.1
"""By how much Gram's share, and by what factor REMD, must be worse at the frames' own size than at 256 pixels to be said."""
LABELS = {CONTENT.label: "content", PAINTED.label: "stylised"}


def run_frames(settings: EvaluateFrames) -> None:
    """Measures, prints a table and a verdict, writes frames.json and frames.html."""
    check_frames(settings)
    matched = match(open_sequence(settings.stylised, "stylised"), open_sequence(settings.content, "content"))
    judged = FrameEvaluation(settings, matched)
    make_folder(settings.output)
    report = judged.report()
    replace_file(settings.output / "frames.json", lambda aside: aside.write_text(json.dumps(report, indent=1)))
    page = render_page("frames.html.jinja", report=report, pictures=judged.pictures(report))
    replace_file(settings.output / "frames.html", lambda aside: aside.write_text(page))
    for table in tables(report):
        CONSOLE.print(table)
    CONSOLE.print(report["verdict"], soft_wrap=True)
    CONSOLE.print(f"Report: {settings.output / 'frames.html'}", soft_wrap=True)


class FrameEvaluation:
    """Two sequences of frames, and what is measured on them."""

    def __init__(self, settings: EvaluateFrames, matched: Matched) -> None:
        self.settings, self.matched = settings, matched
        self.missing: list[str] = []
        self.sources: dict[str, str] = {}
        for note in matched.notes:
            CONSOLE.print(note, soft_wrap=True)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.size = working_size(matched, settings.long_side)
        self.frames = GivenFrames(matched, PAINTED, self.size, self._posed(), self.device)
        self.painting = None if settings.style is None else find_styles([settings.style], "style")[0].read("style")[0][0]
        self.judges = self._judges()

    def report(self) -> dict[str, Any]:
        """All that frames.json holds."""
        pairs = self._pairs()
        found: dict[str, Any] = {
            "record": run_record(settings={name: str(value) for name, value in asdict(self.settings).items()}),
            "frames": {
                "stylised": str(self.matched.painted.path),
                "content": str(self.matched.content.path),
                "number": len(self.frames),
                "names": list(self.matched.painted.names),
                "size": list(self.matched.painted.size),
                "content_size": list(self.matched.content.size),
                "compared_at": list(self.size),
            },
            "notes": list(self.matched.notes),
            "consistency": {
                protocol: {gap: summarise(records) for gap, records in gaps.items()} for protocol, gaps in pairs.items()
            },
            "pictures": self._picture_numbers(),
            "brushwork": self._brushwork(),
            "pairs": pairs,
        }
        return found | {"judges": self.sources, "not_measured": self.missing, "verdict": verdict(found)}

    def pictures(self, report: dict[str, Any]) -> dict[str, Any]:
        """What the page shows."""
        chosen = evenly(len(self.frames), 4)
        rows = [(LABELS[row.label], row) for row in (CONTENT, PAINTED)]
        return {
            "painting": None if self.painting is None else embedded(resize_long_side(self.painting, 480)),
            "sheets": [(label, [embedded(self.frames.picture(row, frame)) for frame in chosen]) for label, row in rows],
            "strips": [(label, embedded(flicker_strip(self.frames, row))) for label, row in rows],
            "worst": self._worst(report["pairs"]),
        }

    def _posed(self) -> PosedDepth | None:
        settings, painted, content = self.settings, self.matched.painted, self.matched.content
        if "G" not in settings.protocols:
            return None
        if settings.cameras is None or settings.depth is None:
            self._lack("protocol G: it needs cameras and depth; give --cameras transforms.json --depth FOLDER.")
            return None
        names = [content.names[number] for number in self.matched.numbers] if content.named else painted.names
        return PosedDepth(settings.cameras, settings.depth, names, content.size, settings.depth_kind, settings.depth_scale)

    def _judges(self) -> Judges:
        settings, flow = self.settings, None
        if {"A", "B"} & set(settings.protocols) and len(self.frames) > 1:
            variable = optical_flow.WEIGHTS_VARIABLE
            flow = load_or_say(
                "protocols A and B",
                settings.flow_weights,
                variable,
                lambda given: load_flow(given, self.device),
                self.missing,
            )
        distance = load_or_say(
            "LPIPS", settings.lpips_backbone, lpips.BACKBONE_VARIABLE,
            lambda given: lpips.load_lpips(settings.lpips_net, given, self.device), self.missing,
        )  # fmt: skip
        for name, network in (("flow", flow), ("lpips", distance)):
            if network is not None:
                self.sources[name] = network.source
        return Judges(flow, distance, settings.valid)

    def _pairs(self) -> Pairs:
        """{protocol: {gap: records}}."""
        number, posed = len(self.frames), self.frames.posed is not None
        protocols: list[Protocol] = [each for each in self.settings.protocols if each != "G" or posed]
        if number < 2:
            self._lack("consistency: there is one frame; give two or more.")
            return {}
        found: Pairs = {}
        for gap in self.settings.gaps:
            if gap >= number:
                self._lack(f"gap {gap}: there are only {number} frames.")
                continue
            what = f"pairs that are {gap} apart"
            records = measure_gap(self.frames, [CONTENT, PAINTED], protocols, gap, self.settings.pairs, self.judges, what)
            for record in records:
                record["row"] = LABELS[record["row"]]
                found.setdefault(record["protocol"], {}).setdefault(str(gap), []).append(record)
        if posed and "G" not in found:
            self._lack(
                "protocol G: no two frames share 5 % of their pixels; are depth maps in the cameras' units (--depth-scale), "
                "and of the kind that --depth-kind says?"
            )
        return found

    def _picture_numbers(self) -> dict[str, dict[str, float | None]]:
        """How much of the content is left, and what blur would take; means over the frames that are judged."""
        numbers = []
        for frame in evenly(len(self.frames), self.settings.judged):
            ours, plain = (self.frames.picture(row, frame) for row in (PAINTED, CONTENT))
            found = {"ssim": structural_similarity(ours, plain), **blur_numbers(ours, plain, plain)}
            if self.judges.lpips is not None:
                found["lpips"] = self.judges.lpips(ours, plain)
            numbers.append(found | {"variance": colour_variance(ours), "content_variance": colour_variance(plain)})
        return {"stylised": mean_numbers(numbers)}

    def _brushwork(self) -> dict[str, dict[str, float | None]]:
        """{short side in pixels: {gram, remd, coherence, spectrum, ssim}}; the frames' own size last, if it is larger."""
        if self.painting is None:
            self._lack("brushwork: there is nothing to compare with; give the painting, --style PICTURE.")
            return {}
        features = load_judge()
        self.sources["judge"] = features.source
        frames = GivenFrames(self.matched, PAINTED, self.matched.painted.size)
        chosen, found = evenly(len(frames), self.settings.judged), {}
        own = own_side(frames.picture(PAINTED, 0), self.painting)
        for side in dict.fromkeys((JUDGED_SIDE, max(own, JUDGED_SIDE))):
            judge = FrameJudge(features, self.painting, side)
            numbers = [
                judge.measure(frames.picture(PAINTED, frame), frames.picture(CONTENT, frame))
                for frame in tracked(chosen, f"brushwork at {side} pixels")
            ]
            found[str(side)] = mean_numbers(numbers)
        return found

    def _worst(self, pairs: Pairs) -> dict[str, Any] | None:
        """The pair of the shortest gap whose stylised frames differ most, by the protocol that is surest."""
        measured: list[Protocol] = [each for each in SUREST if each in pairs]
        if not measured:
            return None
        protocol = measured[0]
        gap, records = next(iter(pairs[protocol].items()))
        worst = max((each for each in records if each["row"] == "stylised"), key=lambda each: each["rmse"])
        target, source = worst["target"], worst["source"]
        warp = pair_warps(self.frames, (protocol,), target, source, self.judges.flow, self.judges.valid)[protocol]
        maps = {row: error_map(self.frames, row, target, source, warp) for row in (CONTENT, PAINTED)}
        shown = {LABELS[row.label]: embedded(picture) for row, picture in maps.items()}
        return {"protocol": protocol, "gap": gap, "target": target, "source": source, "rmse": worst["rmse"], "shown": shown}

    def _lack(self, line: str) -> None:
        self.missing.append(line)
        CONSOLE.print(f"Not measured: {line}", soft_wrap=True)


def tables(report: dict[str, Any]) -> list[Table]:
    """Consistency, the content's own error beside it, and brushwork, as they are printed."""
    moved = Table(
        "protocol", "gap", "RMSE", "content's own", "LPIPS", "content's own", "valid", "pairs", title="Consistency"
    )
    for protocol, gaps in report["consistency"].items():
        for gap, rows in gaps.items():
            ours, floor = rows["stylised"], rows["content"]
            errors = [_told(row.get(name)) for name in ("rmse", "lpips") for row in (ours, floor)]
            moved.add_row(protocol, gap, *errors, f"{100 * ours['valid']:.0f} %", str(ours["pairs"]))
    names = ("gram", "remd", "coherence", "spectrum", "ssim")
    brushed = Table("seen at", "Gram, share of the content's", *names[1:-1], "SSIM to the content", title="Brushwork")
    for side, numbers in report["brushwork"].items():
        brushed.add_row(f"{side} px", *(_told(numbers[name]) for name in names))
    return [table for table in (moved, brushed) if table.row_count]


def verdict(report: dict[str, Any]) -> str:
    """What the numbers say, in words: steadiness, blur, nearness to the painting at both sizes, content."""
    return " ".join(filter(None, (_steadiness(report), _blur(report), _style(report), _content(report))))


def flicker(report: dict[str, Any]) -> tuple[str, str, float] | None:
    """(protocol, gap, share) at the shortest gap of the surest protocol; None where no pair was measured.

    The share says how much stylised frames differ beyond what their content does, 1 for frames that have nothing in common:
    sqrt(s^2 - c^2) / sqrt(2 v) with the RMSE s of the stylised frames, c of the content, v the stylised colours' variance.
    """
    protocol = next((each for each in SUREST if each in report["consistency"]), None)
    if protocol is None:
        return None
    gap, rows = next(iter(report["consistency"][protocol].items()))
    ours, floor = rows["stylised"]["rmse"], rows["content"]["rmse"]
    unrelated = (2 * report["pictures"]["stylised"]["variance"]) ** 0.5
    return protocol, gap, max(ours**2 - floor**2, 0) ** 0.5 / max(unrelated, 1e-6)


def _steadiness(report: dict[str, Any]) -> str:
    found = flicker(report)
    if found is None:
        return "How steady the frames are was not measured."
    protocol, gap, share = found
    word = "hold still" if share < STEADY else "shimmer" if share < FLICKERS else "flicker"
    ours, floor = (report["consistency"][protocol][gap][label]["rmse"] for label in ("stylised", "content"))
    near = "neighbours differ" if gap == "1" else f"{gap} frames apart they differ"
    return (
        f"The stylised frames {word}: {near} by {ours:.3f}, the content's own by {floor:.3f} (RMSE, protocol {protocol}); "
        f"what is more is {100 * share:.0f} % of what unrelated frames would differ by."
    )


def _blur(report: dict[str, Any]) -> str:
    detail = report["pictures"]["stylised"]["high_frequency"]
    if detail is None or detail >= BLURRED:
        return ""
    return f"They hold {100 * detail:.0f} % of the content's fine detail: blur looks steady, too."


def _style(report: dict[str, Any]) -> str:
    if not report["brushwork"]:
        return ""
    told = [f"{100 * (1 - numbers['gram']):.0f} % at {side} px" for side, numbers in report["brushwork"].items()]
    small, own = (list(report["brushwork"].values())[index] for index in (0, -1))
    worse = own["gram"] - small["gram"] > WORSE_GRAM and own["remd"] > WORSE_REMD * small["remd"]
    warning = " What is near when small is not at full size: look at it there (blur, marbling, strokes that are too fine)."
    return f"To the painting they are nearer than the content is, by Gram {', '.join(told)}.{warning if worse else ''}"


def _content(report: dict[str, Any]) -> str:
    return f"SSIM to the content {report['pictures']['stylised']['ssim']:.2f}."


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
