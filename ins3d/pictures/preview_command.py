"""Runs `ins3d picture preview`: all paintings of a folder on one picture, and which of them suit it."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import SUFFIXES, picture_files, read_rgb, resize_long_side, rgb_bytes
from ins3d.files.sequences import natural
from ins3d.files.whole import replace_file
from ins3d.pictures.outputs import check_picture_output
from ins3d.pictures.settings import Preview
from ins3d.pictures.transfer_command import ready_network, style_picture
from ins3d.runs.record import make_folder, progress, say
from ins3d.transfer.methods import encoder_of
from ins3d.transfer.style_net import OneStyle
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
    path = photograph_of(settings.content)
    paths = paintings_of(settings.styles)
    check_picture_output(settings.output, [path, *paths.values()])
    content = resize_long_side(read_rgb(path, "content", say=say), PAINTED_SIDE)
    network = ready_network(settings)
    if isinstance(network, OneStyle):
        raise ValueError(f"method: {settings.method} paints one style; use a network that paints any, such as adain.")
    device = next(network.parameters()).device
    content, judge = content.to(device), encoder_of("compact", None, device)
    found: dict[str, Painting] = {}
    for name, file in progress(list(paths.items()), "painting"):
        try:
            style = style_picture(read_rgb(file, "styles"), settings.stroke_size, PAINTED_SIDE).to(device)
            painted = network.paint(content, [(network.look_at(style), 1.0)])
        except ValueError as error:
            say(f"Passed over {file.name}: {error}")
            continue
        apart = distances(judge, painted, content, style)
        shown = resize_long_side(painted.cpu(), settings.side)
        found[name] = Painting(shown, resize_long_side(style.cpu(), settings.side), apart)
    if not found:
        raise ValueError(f"styles: the folder {settings.styles} holds no pictures that can be painted with; name another.")
    order = best_first({name: each.apart for name, each in found.items()})
    make_folder(settings.output.parent)
    write_sheet(settings.output, resize_long_side(content.cpu(), settings.side), found, order)
    told = {name: dict(zip(("style", "content"), found[name].apart, strict=True)) for name in order}
    record = settings.output.with_name("preview.json")
    replace_file(record, lambda aside: aside.write_text(json.dumps({"rule": RULE, "paintings": told}, indent=1)))
    say(f"Best for {path.name} ({RULE}): {', '.join(order[:BEST])}.")
    say(f"Wrote {settings.output} and {record.name}: {len(found)} {'painting' if len(found) == 1 else 'paintings'}.")


def photograph_of(content: Path) -> Path:
    """The picture itself; of a scene (its folder, transforms.json, or config.yml of a run) the photograph in the middle."""
    if content.suffix.lower() == ".yml" and content.is_file():
        content = data_of_run(content)
    listed = content / "transforms.json" if content.is_dir() else content
    if listed.suffix.lower() != ".json":
        return content
    if not listed.is_file():
        raise ValueError(f"content: {content} has no transforms.json; give a picture, or the folder of a scene.")
    try:
        told = [str(frame["file_path"]).replace("\\", "/") for frame in json.loads(listed.read_text())["frames"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"content: {listed} names no photographs; give a picture.") from error
    paths = [listed.parent / name for name in sorted(told, key=natural)]
    there = [each for path in paths for each in (path, *(Path(f"{path}{end}") for end in SUFFIXES)) if each.is_file()]
    if not there:
        raise FileNotFoundError(f"content: of the {len(told)} photographs of {listed} none is there; give a picture.")
    return there[len(there) // 2]


def data_of_run(config: Path) -> Path:
    """The folder of the photographs of a run of ns-train, without loading what its config.yml speaks of."""

    class Plain(yaml.SafeLoader):
        """Objects as their parts."""

    def parts(loader: Any, _: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value

    Plain.add_multi_constructor("tag:yaml.org,2002:python/", parts)
    try:
        told = yaml.load(config.read_text(), Plain)  # noqa: S506  # a safe loader
        return Path(*told["data"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"content: {config} is no config.yml of ns-train that names its data; give a picture.") from error


def paintings_of(folder: Path) -> dict[str, Path]:
    """{name: file} of all that look like pictures."""
    if not folder.is_dir():
        raise FileNotFoundError(f"styles: {folder} is no folder; give one with paintings.")
    found: dict[str, Path] = {}
    for path in picture_files(folder):
        found[path.name if path.stem in found else path.stem] = path
    if not found:
        raise FileNotFoundError(f"styles: the folder {folder} holds no pictures ({', '.join(SUFFIXES)}).")
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
        axis.set_title(
            f"{place} {name[: width // 7]}", fontsize=7, pad=2, fontweight="bold" if best else "normal", parse_math=False
        )
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 14 / 100 / (rows * (height + 26) / 100), 0.03, 0.14)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in letters that the font does not have
        replace_file(path, lambda aside: figure.savefig(aside))
