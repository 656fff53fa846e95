"""Paints the style pictures that ship with the project: `python scripts/make/style_pictures.py`.

Two pictures by brush strokes laid along a formula's currents: nothing is downloaded, the same seed gives the same files.
`swirls` has short curved strokes of blue and gold; `woodcut` has hatched black lines on warm paper.
"""

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tyro
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Settings:
    """Where to write."""

    output: Path = ROOT / "scenes" / "styles"
    """Folder of the pictures."""
    default: Path = ROOT / "ins3d" / "default_style.png"
    """Where the picture goes that is used when no style is named."""
    size: int = 320


def current(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The direction (radians) in which strokes run at positions in [0, 1]: whirls around three centres."""
    field = np.zeros((2, *x.shape))
    for center_x, center_y, turn, reach in ((0.3, 0.35, 1, 0.2), (0.72, 0.25, -1, 0.15), (0.6, 0.75, 1, 0.25)):
        dx, dy = x - center_x, y - center_y
        near = np.exp(-(dx**2 + dy**2) / reach**2)
        field += turn * near * np.stack([-dy, dx]) / reach
    field += 0.25 * np.stack([np.ones_like(x), 0.6 * np.sin(6 * x + 2 * y)])
    return np.arctan2(field[1], field[0])


def brightness(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Light and dark in [0, 1]: glowing whirls over a dark land."""
    glow = sum(
        np.exp(-(((x - a) ** 2 + (y - b) ** 2) / c**2))
        for a, b, c in ((0.3, 0.35, 0.13), (0.72, 0.25, 0.1), (0.9, 0.5, 0.06))
    )
    land = 1 / (1 + np.exp(-40 * (y - 0.78 - 0.06 * np.sin(9 * x))))
    return np.clip(0.35 + 0.75 * glow + 0.15 * np.sin(14 * x + 9 * y) - 0.45 * land, 0, 1)


def strokes(
    draw: ImageDraw.ImageDraw, size: int, random: np.random.Generator, count: int, length: float, width: int, color
) -> None:
    """Lays `count` curved strokes along the current; `color` gives the RGB of a stroke from its position."""
    for start_x, start_y in random.random((count, 2)):
        x, y, path = start_x, start_y, []
        for _ in range(8):
            path.append((x * size, y * size))
            angle = float(current(np.array(x), np.array(y)))
            x, y = x + length / 8 * np.cos(angle), y + length / 8 * np.sin(angle)
        draw.line(path, fill=color(start_x, start_y), width=width, joint="curve")


def swirls(size: int) -> np.ndarray:
    """Short curved strokes of deep blue, pale blue and gold."""
    random = np.random.default_rng(1)
    palette = np.array([(14, 22, 60), (26, 58, 120), (60, 110, 170), (140, 180, 200), (240, 215, 110), (250, 240, 190)])

    def color(x: float, y: float) -> tuple[int, ...]:
        place = float(brightness(np.array(x), np.array(y))) * (len(palette) - 1) + 0.45 * random.normal()
        shade = palette[int(np.clip(round(place), 0, len(palette) - 1))] + random.normal(0, 9, 3)
        return tuple(int(value) for value in np.clip(shade, 0, 255))

    picture = Image.new("RGB", (2 * size, 2 * size), (20, 35, 80))
    draw = ImageDraw.Draw(picture)
    strokes(draw, 2 * size, random, 5000, 0.07, 9, color)
    strokes(draw, 2 * size, random, 5000, 0.05, 6, color)
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def woodcut(size: int) -> np.ndarray:
    """Black hatching on warm paper, denser in the dark, with patches of red."""
    random = np.random.default_rng(2)
    fine = 2 * size
    rows, columns = np.mgrid[0:fine, 0:fine] / fine
    light = brightness(columns, rows)
    red = (np.sin(7 * columns + 2 * rows) * np.sin(5 * rows - 3 * columns) > 0.45)[..., None]
    paper = np.where(red, (186, 62, 40), (236, 216, 176)).astype(np.uint8)
    picture = Image.fromarray(paper)
    draw = ImageDraw.Draw(picture)
    for _ in range(5200):
        x, y = random.random(2)
        if random.random() < 1.05 - light[int(y * fine), int(x * fine)]:
            path = []
            for _ in range(10):
                path.append((x * fine, y * fine))
                angle = float(current(np.array(x), np.array(y)))
                x, y = x + 0.009 * np.cos(angle), y + 0.009 * np.sin(angle)
            draw.line(path, fill=(24, 20, 22), width=int(random.integers(2, 6)), joint="curve")
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def main(settings: Settings) -> None:
    """Writes the pictures."""
    settings.output.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(settings.output / "swirls.png", swirls(settings.size))
    imageio.imwrite(settings.output / "woodcut.png", woodcut(settings.size))
    imageio.imwrite(settings.default, swirls(256))


if __name__ == "__main__":
    main(tyro.cli(Settings))
