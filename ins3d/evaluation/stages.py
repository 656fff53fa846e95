"""The stages of an evaluation. Each caches its result in a file with a key of all that it depends on."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from ins3d.evaluation.consistency import Judges, Protocol, frame_pairs, measure_pair
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.files.whole import replace_file
from ins3d.runs.record import CONSOLE
from ins3d.transfer.network import TransferNetwork

Item = TypeVar("Item")
Styles = dict[str, Float[Tensor, "3 _ _"]]
"""By name: the pictures."""


def staged(path: Path, key: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """The result (JSON) of `compute`, cached in `path`; computed anew when the file was written under another key."""
    key = json.loads(json.dumps(key))
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["key"] == key:
            return kept["result"]
    result = compute()
    replace_file(path, lambda aside: aside.write_text(json.dumps({"key": key, "result": result}, indent=1)))
    return json.loads(json.dumps(result))


def paint_frames(frames: FrameFolder, networks: Mapping[str, TransferNetwork], styles: Styles, what: str) -> None:
    """Paints the unstylised renders one by one, by every network and style; pictures that are there are kept."""
    looks = {
        Row("per-frame", style, name): network.look_at(picture)
        for name, network in networks.items()
        for style, picture in styles.items()
    }
    for frame in tracked(range(len(frames)), what):
        for row, look in looks.items():
            if not frames.has(row, frame):
                content = frames.picture(Row("unstylised"), frame)
                frames.write_picture(row, frame, networks[row.network].paint(content, [(look, 1.0)]))


def measure_gap(
    frames: FrameFolder,
    rows: list[Row],
    protocols: Sequence[Protocol],
    gap: int,
    max_pairs: int,
    judges: Judges,
    what: str,
) -> list[dict[str, Any]]:
    """The records (see `measure_pair`) of at most `max_pairs` pairs of frames that lie `gap` apart."""
    pairs = frame_pairs(len(frames), gap, max_pairs)
    return [record for pair in tracked(pairs, what) for record in measure_pair(frames, rows, protocols, *pair, judges)]


def tracked(items: Iterable[Item], what: str) -> Iterable[Item]:
    """With a bar."""
    return track(items, what, console=CONSOLE, transient=True)
