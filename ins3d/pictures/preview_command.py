"""Runs `ins3d picture preview`: all paintings of a folder on one picture, and which of them suit it."""

import json
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import SUFFIXES, picture_files, read_rgb, resize_long_side, rgb_bytes
from ins3d.files.whole import replace_file
from ins3d.pictures.settings import Preview
from ins3d.pictures.transfer_command import ready_network, style_picture
from ins3d.runs.record import make_folder, progress, say
from ins3d.transfer.methods import encoder_of
from ins3d.transfer.suitability import RULE, best_first, distances

BEST = 5
COLUMNS = 8
PAINTED_SIDE = 384
"""Long side, in pixels, at which pictures are painted and judged; they are shown smaller."""


@dataclass
class Painting:
    """What became of the content."""

    picture: Float[Tensor, "3 height width"]
    """As small as on the sheet."""
    style: Float[Tensor, "3 _ _"]
    apart: tuple[float, float]
    """From the style, and from the content."""


def run_preview(settings: Preview) -> None:
    """`preview`: paints, judges, lays out."""
    check_ranges(settings)
    if settings.output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"output: {settings.output} is no picture; name a .png.")
    content = resize_long_side(read_rgb(photograph_of(settings.content), "content", say=say), PAINTED_SIDE)
    styles = paintings_of(settings.styles)
    network = ready_network(settings)
    device = next(network.parameters()).device
    judge = encoder_of("compact", None, device)
    found: dict[str, Painting] = {}
    for name, rgb in progress(list(styles.items()), "painting"):
        style = style_picture(rgb, settings.stroke_size, PAINTED_SIDE).to(device)
        painted = network.paint(content.to(device), [(network.look_at(style), 1.0)])
        apart = distances(judge, painted, content.to(device), style)
        shown = resize_long_side(painted.cpu(), settings.side)
        found[name] = Painting(shown, resize_long_side(style.cpu(), settings.side), apart)
    order = best_first({name: each.apart for name, each in found.items()})
    make_folder(settings.output.parent)
    write_sheet(settings.output, resize_long_side(content, settings.side), found, order)
    told = {name: dict(zip(("style", "content"), found[name].apart, strict=True)) for name in order}
    record = settings.output.with_name("preview.json")
    replace_file(record, lambda aside: aside.write_text(json.dumps({"rule": RULE, "paintings": told}, indent=1)))
    say(f"Best for {settings.content.name} ({RULE}): {', '.join(order[:BEST])}.")
    say(f"Wrote {settings.output} and {record.name}: {len(found)} paintings.")


def photograph_of(content: Path) -> Path:
    """The picture itself; of a folder with transforms.json the photograph in the middle."""
    if not content.is_dir():
        return content
    listed = content / "transforms.json"
    if not listed.is_file():
        raise ValueError(f"content: {content} has no transforms.json; give a picture, or the folder of a scene.")
    try:
        frames = sorted(str(frame["file_path"]) for frame in json.loads(listed.read_text())["frames"])
        path = content / frames[len(frames) // 2]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"content: {listed} names no photographs; give a picture.") from error
    return next((each for each in (path, *(path.with_name(path.name + end) for end in SUFFIXES)) if each.is_file()), path)


def paintings_of(folder: Path) -> dict[str, Tensor]:
    """{name: RGB}; files that are no pictures, or are broken, are named and passed over."""
    if not folder.is_dir():
        raise FileNotFoundError(f"styles: {folder} is no folder; give one with paintings.")
    found: dict[str, Tensor] = {}
    for path in picture_files(folder):
        try:
            rgb = read_rgb(path, "styles")
            found[path.stem] = resize_long_side(rgb, min(max(rgb.shape[1:]), 2 * PAINTED_SIDE))
        except ValueError as error:
            say(f"Passed over: {error}")
    if not found:
        raise FileNotFoundError(f"styles: the folder {folder} holds no pictures that can be read ({', '.join(SUFFIXES)}).")
    return found


def write_sheet(path: Path, content: Tensor, found: dict[str, Painting], order: list[str]) -> None:
    """The content, then each painting with a small picture of its style, the best first."""
    cells = 1 + len(order)
    columns = min(COLUMNS, cells)
    rows = -(-cells // columns)
    height, width = content.shape[1:]
    figure = Figure(figsize=(columns * (width + 8) / 100, rows * (height + 26) / 100), dpi=100)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.axis("off")
    axes[0].imshow(rgb_bytes(content))
    axes[0].set_title("the picture", fontsize=7, pad=2)
    for place, (axis, name) in enumerate(zip(axes[1:], order, strict=False), start=1):
        axis.imshow(rgb_bytes(found[name].picture))
        inset = axis.inset_axes((0.68, 0.0, 0.32, 0.32))
        inset.imshow(rgb_bytes(found[name].style))
        inset.axis("off")
        best = place <= BEST
        axis.set_title(f"{place} {name[: width // 7]}", fontsize=7, pad=2, fontweight="bold" if best else "normal")
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 14 / 100 / (rows * (height + 26) / 100), 0.03, 0.14)
    replace_file(path, lambda aside: figure.savefig(aside))
