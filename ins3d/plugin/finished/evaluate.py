"""Evaluates a finished run: frames, then measures stage by stage, then a report."""

import json
import timeit
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import torch
from nerfstudio.utils.eval_utils import eval_setup

from ins3d.evaluation.brushwork import brushwork_numbers
from ins3d.evaluation.consistency import Protocol, min_ratio, summarise
from ins3d.evaluation.frames import FrameFolder, PathName, Row
from ins3d.evaluation.judges import EvaluationJudges, find_judges
from ins3d.evaluation.measures import geometry_numbers, picture_numbers, style_numbers
from ins3d.evaluation.report import write_report
from ins3d.evaluation.settings import Evaluate, check_evaluate
from ins3d.evaluation.stages import measure_gap, paint_frames, staged
from ins3d.evaluation.style_distances import recognised
from ins3d.files.run_record import peak_memory_mb, run_record
from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.content_checkpoint import FILE_NAME
from ins3d.plugin.datamanager import NOTHING_HELD_OUT
from ins3d.plugin.finished.frames import evaluation_path, frozen_density, render_frames
from ins3d.runs.record import CONSOLE, make_folder

RECORD = "run.json"


def run_evaluate(settings: Evaluate) -> None:
    """Makes what is missing of the evaluation, and its report."""
    check_evaluate(settings)
    _, pipeline, checkpoint, _ = eval_setup(settings.load_config, test_mode="test")
    if not pipeline.model.has_style:
        raise ValueError(f"load-config: {settings.load_config} has no style yet; let that run go on (--load-dir).")
    output = settings.output or settings.load_config.parent / "evaluation"
    make_folder(output)
    evaluation = Evaluation(settings, pipeline, Path(checkpoint), output)
    report = evaluation.report()
    write_report(output, report, evaluation.frames, evaluation.judges.paintings)
    CONSOLE.print(f"Report: {output / 'report.html'}", soft_wrap=True)


class Evaluation:
    """One run, its frames along every path, and what is measured on them."""

    def __init__(self, settings: Evaluate, pipeline: Any, checkpoint: Path, output: Path) -> None:
        self.settings, self.pipeline, self.checkpoint, self.output = settings, pipeline, checkpoint, output
        self.run = settings.load_config.parent
        self.names: list[str] = list(pipeline.model.controls.names)
        self.bounded = pipeline.model.ray_content.placement.is_bounded
        self.judges: EvaluationJudges = find_judges(settings, pipeline.config.model.styles, pipeline.device)
        self.frames: dict[PathName, FrameFolder] = {}
        if pipeline.datamanager.nothing_held_out:
            self.judges.missing.append(f"held-out views: {NOTHING_HELD_OUT}")
        self.key = {"checkpoint": str(checkpoint), "written": checkpoint.stat().st_mtime}

    def report(self) -> dict[str, Any]:
        """All stages, in the order in which they need each other."""
        for name in dict.fromkeys(("held-out", *self.settings.paths)):
            self.frames[name] = self._frames(name)
        consistency, records = self._consistency()
        held, rows, key, judges = self.frames["held-out"], self.rows("held-out"), self._key("held-out"), self.judges
        judged = key | judges.key("judge", "per-frame") | {"styles": judges.checksums}
        features, paintings = judges.distances.features, judges.paintings
        styles = self._staged("styles", judged, lambda: style_numbers(held, rows, self.bounded, judges.distances))
        brushwork = self._staged(
            "brushwork", judged, lambda: brushwork_numbers(held, rows, self.bounded, features, paintings)
        )
        pictures = self._staged(
            "pictures", judged | judges.key("lpips"),
            lambda: picture_numbers(held, rows, self.bounded, features, judges.consistency.lpips, paintings),
        )  # fmt: skip
        settings = {name: str(value) for name, value in asdict(self.settings).items()}
        return {
            "record": run_record(settings=settings),
            "run": {
                "config": str(self.settings.load_config),
                "styles": self.names,
                "bounded": self.bounded,
                "per_frame": next(iter(self.judges.per_frame), "none"),
            },
            "conditions": self._conditions(),
            "judges": judges.sources,
            "not_measured": judges.missing,
            "rows": {name: [row.label for row in self.rows(name)] for name in self.frames},
            "consistency": consistency,
            "ratios": self._ratios(records),
            "pictures": pictures,
            "styles": styles,
            "brushwork": brushwork,
            "recognised": {row.label: recognised(row.style, styles[row.label]) for row in rows if row.style},
            "geometry": {path: geometry_numbers(frames, self.bounded) for path, frames in self.frames.items()},
            "cost": self._staged("cost", self.key, self._cost),
            "trained": self._trained(),
            "pairs": records,
        }

    def rows(self, path: PathName) -> list[Row]:
        """What is compared along a path: floors first, ceilings last."""
        rows = [Row("photographs")] if path != "smooth" else []
        rows += [Row("unstylised"), *(Row("stylised", name) for name in self.names)]
        return rows + [Row("per-frame", name, network) for network in self.judges.per_frame for name in self.names]

    def _frames(self, name: PathName) -> FrameFolder:
        folder = self.output / "frames" / name
        frames = FrameFolder(folder, torch.device(self.pipeline.device))
        self._begin(name, self._key(name), [folder])
        path = evaluation_path(name, self.pipeline, self._number(name), self.settings.flight)
        render_frames(self.pipeline, path, frames, frozen_density(self.pipeline, self.run))
        if self.judges.per_frame:
            painted = [folder / row.folder for row in self.rows(name) if row.kind == "per-frame"]
            self._begin(f"{name}_painted", self._key(name) | self.judges.key("per-frame"), painted)
            paint_frames(frames, self.judges.per_frame, self.judges.seen_per_frame(), f"{name}: painting frame by frame")
        return frames

    def _number(self, name: PathName) -> int:
        return self.settings.held_out if name == "held-out" else self.settings.frames

    def _key(self, name: PathName) -> dict[str, Any]:
        return self.key | {"frames": self._number(name), "flight": self.settings.flight if name == "smooth" else ""}

    def _begin(self, name: str, key: dict[str, Any], folders: list[Path]) -> None:
        """Removes pictures of another checkpoint, path or network."""

        def remove() -> None:
            for folder in folders:
                if folder.is_dir():
                    rmtree(folder)

        staged(self.output / "frames" / f"{name}.json", key, remove)

    def _staged(self, name: str, key: dict[str, Any], compute: Any) -> Any:
        return staged(self.output / "stages" / f"{name}.json", key, compute)

    def _consistency(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """({path: {protocol: {gap: summary}}}, {path: {protocol: {gap: records}}})."""
        records: dict[str, Any] = {}
        for path in self.settings.paths:
            for gap in self.settings.gaps:
                for record in self._gap(path, gap, "G") + self._gap(path, gap, "AB"):
                    gaps = records.setdefault(path, {}).setdefault(record["protocol"], {})
                    gaps.setdefault(str(gap), []).append(record)
        summaries = {
            path: {protocol: {gap: summarise(pairs) for gap, pairs in gaps.items()} for protocol, gaps in protocols.items()}
            for path, protocols in records.items()
        }
        return summaries, records

    def _gap(self, path: PathName, gap: int, group: str) -> list[dict[str, Any]]:
        """By geometry, or by the flow that A and B share: a stage each, which needs its own networks alone."""
        settings, judges, frames = self.settings, self.judges.consistency, self.frames[path]
        protocols: list[Protocol] = [protocol for protocol in settings.protocols if protocol in group]
        if not protocols or (group == "AB" and judges.flow is None):
            return []
        names = ("lpips", "per-frame") if group == "G" else ("lpips", "per-frame", "flow")
        found = self._staged(
            f"consistency_{path}_{gap}_{group}",
            self._key(path) | self.judges.key(*names) | {"pairs": settings.pairs, "protocols": protocols},
            lambda: measure_gap(
                frames, self.rows(path), protocols, gap, settings.pairs, judges,
                f"{path}: {' and '.join(protocols)} over {gap} frames",
            ),
        )  # fmt: skip
        for protocol in protocols:
            if not any(record["protocol"] == protocol for record in found):
                why = (
                    f"it has only {len(frames)} frames" if gap >= len(frames) else "no two frames share 5 % of their pixels"
                )
                self.judges.missing.append(f"{path}, gap {gap}, protocol {protocol}: {why}")
        return found

    def _ratios(self, records: dict[str, Any]) -> dict[str, Any]:
        """{path: {gap: {style: {mean, least}}}}: the first network's RMSE by ours, protocol G: of the means, and the
        worst pair's."""
        found: dict[str, Any] = {}
        network = next(iter(self.judges.per_frame), None)
        if network is None:
            return found
        for path, protocols in records.items():
            for gap, pairs in protocols.get("G", {}).items():
                means = summarise(pairs)
                for name in self.names:
                    ours, theirs = Row("stylised", name), Row("per-frame", name, network)
                    found.setdefault(path, {}).setdefault(gap, {})[name] = {
                        "mean": means[theirs.label]["rmse"] / max(means[ours.label]["rmse"], 1e-9),
                        "least": min_ratio(pairs, ours, theirs),
                    }
        return found

    def _conditions(self) -> dict[str, Any]:
        """What decides, besides the networks, whether numbers of two runs compare."""
        settings, camera = self.settings, self.pipeline.datamanager.eval_dataset.cameras[:1]
        return {
            "data": str(self.pipeline.config.datamanager.data),
            "size of frames": f"{int(camera.width)}x{int(camera.height)}",
            "frames": settings.frames,
            "held-out": settings.held_out,
            "flight": settings.flight,
            "pairs": settings.pairs,
        }

    def _cost(self) -> dict[str, Any]:
        """Of looking at the run; what training cost is in `trained`."""
        camera, code = self.pipeline.datamanager.eval_dataset.cameras[:1], torch.eye(len(self.names))[:1]
        seconds = timeit.repeat(lambda: render_codes(self.pipeline.model, camera, code), number=1, repeat=3)
        parameters = {
            name: sum(each.numel() for each in part.parameters())
            for name, part in (("content", self.pipeline.model.ray_content), ("style", self.pipeline.model.stylized))
        }
        content = self.run / FILE_NAME
        return {
            "seconds_per_frame": median(seconds),
            "frame": [int(camera.width), int(camera.height)],
            "rendering_peak_memory_mb": peak_memory_mb(),
            "parameters": parameters,
            "checkpoint_mb": self.checkpoint.stat().st_size / 2**20,
            "content_checkpoint_mb": content.stat().st_size / 2**20 if content.is_file() else None,
        }

    def _trained(self) -> dict[str, Any]:
        """What the run wrote about itself; nothing where it did not get that far."""
        path = self.run / RECORD
        told = json.loads(path.read_text()) if path.is_file() else {}
        names = ("date", "commit", "machine", "device", "seed", "perceptual_encoder", "steps", "seconds", "peak_memory_mb")
        found = {name: told[name] for name in names if name in told}
        steps, seconds = found.get("steps", {}), found.get("seconds", {})
        rates = {name: steps[name] / seconds[name] for name in steps if seconds.get(name)}
        return found | {"iterations_per_second": rates}
