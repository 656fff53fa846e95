"""Runs `ins3d picture transfer`: a picture, frames or a film, painted in one pass."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ins3d.extension.ranges import check_ranges
from ins3d.files.pictures import read_rgb, resize_long_side, write_rgb
from ins3d.files.sequences import VIDEOS, FrameSequence, open_sequence
from ins3d.files.videos import open_video
from ins3d.files.whole import replace_file
from ins3d.perception.color_transfer import color_statistics, matching_map, recolor_pictures
from ins3d.pictures.outputs import check_frames_output, check_picture_output
from ins3d.pictures.settings import FeedForward, Transfer
from ins3d.runs.objective import torch_device
from ins3d.runs.record import make_folder, progress, say
from ins3d.style.colors import MOST_GAIN
from ins3d.style.settings import SMALLEST_STYLE, STROKE_SHARE
from ins3d.style.styles import DEFAULT_STYLE, Style, find_styles
from ins3d.transfer.flicker import Calmed
from ins3d.transfer.methods import load_network
from ins3d.transfer.network import Share, Shares, TransferNetwork
from ins3d.transfer.octave import OctaveAdaIN
from ins3d.transfer.style_net import OneStyle

LARGEST_SIDE, THINNEST, LARGEST_STYLE = 1024, 64, 4096
"""Pixels: long side of pictures that are painted at their own size (networks make strokes of a few dozen pixels, which in
larger pictures look like grain), short side that they are given if they have it, and long side of a style picture."""
FPS = 24


def run_transfer(settings: Transfer) -> None:
    """`transfer`: reads, paints, writes."""
    check_ranges(settings)
    frames = content_frames(settings.content)
    sources = [settings.content, *(source.path for style in find_styles(settings.styles) for source in style.sources)]
    if frames is not None:
        film = check_frames_output(settings.output, sources)
    else:
        check_picture_output(settings.output, sources)
        for name in ("calm", "fps"):
            if getattr(settings, name):
                raise ValueError(f"{name}: {settings.content} is a picture, which does not move; leave it out.")
    network = ready_network(settings)
    if isinstance(network, OctaveAdaIN):
        network.strength_high, network.strength_low = settings.strength_high, settings.strength_low
    elif (settings.strength_high, settings.strength_low) != (1.0, 1.0):
        raise ValueError(f"strength-high, strength-low: {settings.method} has one slider, strength; use --method octave.")
    if frames is None:
        picture = sized(read_rgb(settings.content, "content", say=say), settings.size)
        painted = Painter(settings, network, picture)(picture)
        make_folder(settings.output.parent)
        replace_file(settings.output, lambda aside: write_rgb(aside, painted))
        say(f"Wrote {settings.output}, {picture.shape[2]}x{picture.shape[1]}.")
    else:
        paint_frames(settings, network, frames, film)


def content_frames(content: Path) -> FrameSequence | None:
    """The frames of a folder or a film; None for a picture. Raises an error where there are none."""
    if not content.exists():
        raise FileNotFoundError(f"content: {content} does not exist; give a picture, a folder of frames, or a film.")
    if not content.is_dir() and content.suffix.lower() not in VIDEOS:
        return None
    frames = open_sequence(content, "content")
    if not len(frames):
        raise ValueError(f"content: {content} has no frames; give a film that plays, or its frames as pictures.")
    return frames


def ready_network(settings: FeedForward) -> TransferNetwork:
    """The network, named in a line."""
    network = load_network(settings.method, settings.weights, torch_device(settings.device), settings.encoder_weights)
    say(f"Painted by {network.source}.")
    return network


def sized(rgb: Float[Tensor, "3 height width"], size: int | None) -> Float[Tensor, "3 _ _"]:
    """At the long side that is asked for; else its own, at most `LARGEST_SIDE`, and more where it is long and thin."""
    short, long = sorted(rgb.shape[1:])
    side = size or min(long, max(LARGEST_SIDE, math.ceil(THINNEST * long / short)))
    return rgb if side == long else resize_long_side(rgb, side)


def style_picture(rgb: Float[Tensor, "3 height width"], stroke_size: float, side: int) -> Float[Tensor, "3 _ _"]:
    """A style picture as it is looked at for pictures of that long side: strokes are a share of them."""
    wanted = max(round(STROKE_SHARE * stroke_size * side), SMALLEST_STYLE)
    if wanted > LARGEST_STYLE:
        raise ValueError(
            f"stroke-size: {stroke_size:g} looks at style pictures in {wanted} pixels, more than {LARGEST_STYLE}; use "
            f"{LARGEST_STYLE / (STROKE_SHARE * side):.2g} or less, or a smaller size."
        )
    return resize_long_side(rgb, wanted)


class Painter:
    """The styles as they were looked at once, and where each of them paints."""

    def __init__(self, settings: Transfer, network: TransferNetwork, first: Float[Tensor, "3 height width"]) -> None:
        """`first`: the picture, or the first frame."""
        self.settings, self.network = settings, network
        self.device = next(network.parameters()).device
        if isinstance(network, OneStyle) and (settings.styles, settings.stroke_size) != ((DEFAULT_STYLE,), 1.0):
            raise ValueError(
                f"styles, stroke-size: {settings.method} paints the one style it was trained for; leave them out."
            )
        styles = find_styles(settings.styles)
        self.pictures = [self._seen(style, first) for style in styles]
        self.looks = [network.look_at(picture.to(self.device)) for picture in self.pictures]
        self.parts = self._parts(styles, first)

    def __call__(self, content: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
        """Painted, in the content's size, on the CPU."""
        shares: Shares = [(look, share) for look, share in zip(self.looks, self.parts, strict=True)]
        painted = self.network.paint(content.to(self.device), shares).cpu()
        return self._recolored(content, painted) if self.settings.colors == "style" else painted

    def _seen(self, style: Style, first: Tensor) -> Tensor:
        pictures = style.read("styles")
        if len(pictures) != 1 or pictures[0][1] is not None:
            raise ValueError(f"styles: {style} is several pictures or has a mask; give one picture, or a part of one.")
        rgb = style_picture(pictures[0][0], self.settings.stroke_size * style.sources[0].stroke_size, max(first.shape[1:]))
        return _in_colors_of(rgb, first) if self.settings.colors == "content" else rgb

    def _parts(self, styles: tuple[Style, ...], first: Tensor) -> list[Share]:
        """The share of each style: everywhere alike, or by the masks."""
        settings = self.settings
        if not settings.mask:
            return settings.mix_of([style.name for style in styles]).code().tolist()
        if settings.mix:
            raise ValueError("mix: masks say already which style paints where; leave one of the two out.")
        if len(settings.mask) != len(styles):
            raise ValueError(f"mask: {len(settings.mask)} were given for {len(styles)} styles; give one for each.")
        settings.mix_of([style.name for style in styles])  # refuses a strength that is none
        lit = [_mask(path, first) for path in settings.mask]
        # Where several are light, each counts as much as the others.
        overlap = torch.stack(lit).sum(0).clamp(min=1)
        return [(settings.strength * each / overlap).to(self.device) for each in lit]

    def _recolored(self, content: Tensor, painted: Tensor) -> Tensor:
        """Each style's colours in proportion to its share."""
        result, rest = torch.zeros_like(painted), torch.ones(())
        for picture, share in zip(self.pictures, self.parts, strict=True):
            share = share.cpu() if isinstance(share, Tensor) else share
            result, rest = result + share * _in_colors_of(painted, picture), rest - share
        return (result + rest * painted).clamp(0, 1)


def paint_frames(settings: Transfer, network: TransferNetwork, frames: FrameSequence, film: bool) -> None:
    """One after the other, into a film or a folder."""
    calmed, first = Calmed(settings.calm), sized(frames.read(0), settings.size)
    painter = Painter(settings, network, first)
    begun = painter(first)  # what cannot be painted is refused before a folder is made
    make_folder(settings.output.parent if film else settings.output)
    with ExitStack() as open_file:
        add: Callable[[Tensor], None] | None = None
        if film:
            add = open_file.enter_context(open_video(settings.output, settings.fps or frames.fps or FPS))
        for number in progress(range(len(frames)), "painting"):
            frame = sized(frames.read(number), settings.size) if number else first
            painted = calmed(frame, painter(frame) if number else begun)
            if add is not None:
                add(painted)
            else:
                path = settings.output / f"{frames.names[number]}.png"
                replace_file(path, lambda aside, shown=painted: write_rgb(aside, shown))
    say(f"Wrote {settings.output}, {len(frames)} {'frame' if len(frames) == 1 else 'frames'}.")


def _in_colors_of(rgb: Tensor, other: Tensor) -> Tensor:
    """With another picture's mean and covariance of colour."""
    wanted: Any = color_statistics(other.flatten(1).T)
    return recolor_pictures(matching_map(color_statistics(rgb.flatten(1).T), wanted, MOST_GAIN), rgb).clamp(0, 1)


def _mask(path: Path, first: Tensor) -> Tensor:
    grey = read_rgb(path, "mask", behind=0.0).mean(0, keepdim=True)
    return F.interpolate((grey >= 0.5).float()[None], size=first.shape[1:], mode="nearest")[0]
