"""Reads and writes pictures: RGB in [0, 1], channels first."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms
from PIL.ExifTags import Base
from torch import Tensor

with suppress(ImportError):
    from pillow_heif import register_heif_opener  # type: ignore[import-not-found]

    register_heif_opener()

MIN_SIDE = 16
"""Below this no perceptual layer deeper than the third block has a value to compare."""
MAX_PIXELS = 50_000_000
"""Above this the floats of a picture alone fill a gigabyte, and no style picture is looked at in a fiftieth of that."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif")
"""Names of files that are taken for pictures; what they hold is decided by reading them."""
LOSSY = ("JPEG", "MPO", "WEBP")
ORIENTATION = Base.Orientation.value
SIDEWAYS = 5
"""From this orientation on, width and height are exchanged."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What Exif's orientations ask for, in Pillow's words; its `exif_transpose` knows the file's own tag only."""
LAST_WORDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
"""How files end that are whole."""
FLOATS = {b"\x76\x2f\x31\x01": "OpenEXR", b"#?RADIANCE": "Radiance HDR", b"#?RGBE": "Radiance HDR"}
"""How files begin of pictures in light as it is measured."""
STILLS = (b"avi", b"he", b"mif1", b"msf1")
"""How the kinds begin that HEIC and AVIF have in common with MP4 and MOV."""
SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY", "LAB": "Lab"}
"""Pillow's modes, and what ICC calls them."""


def read_rgb(
    path: Path, setting: str, behind: float = 1.0, say: Callable[[str], Any] | None = None
) -> Float[Tensor, "3 height width"]:
    """Reads a picture as `read_picture` does; what is transparent shows what is `behind`, else white.

    `say` is told, in a line, how much that is.
    """
    values = read_picture(path, setting)
    if min(values.shape[1:]) < MIN_SIDE:
        height, width = values.shape[1:]
        raise ValueError(
            f"{setting}: {path} is {width}x{height} pixels; use a picture of at least {MIN_SIDE} pixels a side."
        )
    alpha = values[3:] if len(values) == 4 else torch.ones(())
    if say is not None and (clear := float((alpha < 0.5).float().mean())) > 0:
        say(f"{path.name} is transparent in {clear:.1%} of its pixels: they are taken for {'white' if behind else 'black'}.")
    return values[:3] * alpha + behind * (1 - alpha)


def read_picture(path: Path, setting: str) -> Float[Tensor, "channels height width"]:
    """Reads a picture of 8 or 16 bits, grey or coloured: sRGB in [0, 1], and how opaque it is where the file says so.

    It stands as its orientation tag says. `setting` is the option that the path came from: errors name it. Of an animation
    the first frame is read.
    """
    if not path.is_file():
        what = "is a folder, not a picture" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{setting}: {path} {what}; give the path of a picture (png, jpg, webp, tiff).")
    picture = _read(path, setting, most_pixels=MAX_PIXELS)
    pixels = np.array(picture)
    if picture.mode == "F":  # grey of 16 bits, which 8 would spoil
        return torch.from_numpy(pixels).expand(3, -1, -1).contiguous()
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def read_pixels(
    path: Path, setting: str, size: tuple[int, int] | None = None, orientation: int | None = None
) -> UInt8[np.ndarray, "height width channels"]:
    """A photograph as bytes of sRGB, with a fourth channel where it is transparent; smaller, by a box filter, if asked.

    `size` is (width, height). `orientation` is what is taken for its tag; by default its own. Errors as `read_picture`.
    """
    picture = _read(path, setting, orientation, size)
    if picture.mode == "F":
        picture = Image.fromarray((np.asarray(picture) * 255).round().astype(np.uint8)).convert("RGB")
    return np.array(picture if size in (None, picture.size) else picture.resize(size, Image.Resampling.BOX))


def read_texture_picture(path: Path, setting: str, raw: bytes | None = None) -> Float[np.ndarray, "height width 3"]:
    """A texture: sRGB in [0, 1] as it is stored, whatever its orientation tag says, without what is transparent in it.

    `raw`: its bytes, where they are part of another file; `path` is then what it is called.
    """
    picture = _read(path, setting, orientation=1, raw=raw)
    pixels = np.asarray(picture)
    return pixels[..., None].repeat(3, axis=2) if picture.mode == "F" else pixels[..., :3].astype(np.float32) / 255


def _read(
    path: Path, setting: str, orientation: int | None = None, size: tuple[int, int] | None = None,
    most_pixels: int | None = None, raw: bytes | None = None,
) -> Image.Image:  # fmt: skip
    """As a person sees it, in mode RGB, RGBA or F."""
    with open_picture(path, setting, most_pixels, raw) as picture:
        orientation = orientation_of(picture) if orientation is None else orientation
        if size is not None:
            width, height = turned_size(size, orientation)
            picture.draft(picture.mode, (2 * width, 2 * height))  # a JPEG is decoded no larger than it has to be
        seen = turned(as_srgb(picture), orientation)
    if seen.mode == "F" and not bool(((values := np.asarray(seen)) >= 0).all() and (values <= 1).all()):
        raise ValueError(f"{setting}: {path} holds numbers outside 0 to 1; save it with 8 or 16 bits, as png or jpg.")
    return seen


@dataclass(frozen=True)
class StoredPicture:
    """What a picture's file says before it is decoded."""

    size: tuple[int, int]
    """(width, height) in which it is stored."""
    orientation: int
    """Exif's tag, 1 to 8."""

    @property
    def seen_size(self) -> tuple[int, int]:
        """(width, height) when it is turned as its tag says."""
        return turned_size(self.size, self.orientation)


def look_at(path: Path, setting: str) -> StoredPicture:
    """Size and orientation; a file that may have been cut short is decoded to know. Errors as `read_picture`."""
    with open_picture(path, setting) as picture:
        found = StoredPicture(picture.size, orientation_of(picture))
        if (mark := LAST_WORDS.get(picture.format or "")) is not None and mark not in _end_of(path):
            picture.load()
    return found


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4096, 0))
        return file.read()


@contextmanager
def open_picture(
    path: Path, setting: str, most_pixels: int | None = None, raw: bytes | None = None
) -> Iterator[Image.Image]:
    """A picture's file; ValueError, naming `setting` and what is wrong, where it or its pixels cannot be read."""
    most = most_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 10**10)
    try:
        with Image.open(path if raw is None else BytesIO(raw)) as picture:
            if picture.width * picture.height > most:
                raise Image.DecompressionBombError
            yield picture
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{setting}: {path} has more than {most:,} pixels; shrink it to a long side of 4000 or so."
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:  # decoders raise any of these
        raise ValueError(f"{setting}: {path} {_what_it_is(path, error, raw)}") from error


def _what_it_is(path: Path, error: Exception, raw: bytes | None) -> str:
    """Why a file is no picture, as far as its first bytes tell, and what to do."""
    with suppress(OSError):
        if raw is None:
            with path.open("rb") as file:
                raw = file.read(64)
        head = raw[:64]
        if not head.strip(b"\0"):
            return "is empty (an interrupted copy?); copy it again."
        if head[4:8] == b"ftyp" and not head.startswith(STILLS, 8):
            return "is a video, not a picture; save single frames of it as jpg."
        if head[4:8] == b"ftyp":
            kind, more = ("AVIF", "") if head[8:11] == b"avi" else ("HEIC", ", or pip install pillow-heif")
            return f"is {kind}, as phones write it, and cannot be read here; save it as jpg{more}."
        kind = next((kind for start, kind in FLOATS.items() if head.startswith(start)), None)
        if kind is not None:
            return f"is {kind}, in light as it is measured, which is not read; save it as png or jpg, as it should look."
        if head.startswith(b"version https://git-lfs"):
            return "is not the picture but a pointer of Git LFS; run `git lfs pull` where it came from."
        if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
            return "is a web page or a drawing (svg), not a picture; download it again, or save it as png."
        if "truncated" in str(error) or "broken data stream" in str(error):
            return "ends before its picture does (an interrupted copy?); copy it again."
    return "is not a picture that can be read; save it as png or jpg."


# ---- as a person sees it


def orientation_of(picture: Image.Image) -> int:
    """Exif's tag, 1 to 8: how to turn what is stored to look at it; 1 where there is none."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1  # Pillow would decode all of it to look behind the pixels
    with suppress(SyntaxError, ValueError, OSError, struct.error):
        told = picture.getexif().get(ORIENTATION, 1)
        return told if isinstance(told, int) and 1 <= told <= 8 else 1
    return 1


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as it looks when turned by such a tag.

    >>> turned(Image.new("RGB", (3, 2)), 6).size
    (2, 3)
    """
    return picture if orientation == 1 else picture.transpose(TURNS[orientation])


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(width, height) of the same."""
    return size if orientation < SIDEWAYS else (size[1], size[0])


def as_srgb(picture: Image.Image) -> Image.Image:
    """In mode RGB or RGBA, by the picture's own colour profile where it has one; grey of 16 bits in mode F, in [0, 1]."""
    if picture.mode.startswith("I"):  # Pillow would clip it to 8 bits
        return Image.fromarray(np.asarray(picture).astype(np.float32) / 65535.0)
    profile = picture.info.get("icc_profile")
    if picture.mode == "F" or (is_srgb(profile) and picture.mode != "LAB"):
        mode = "F" if picture.mode == "F" else "RGBA" if picture.has_transparency_data else "RGB"
        picture.load()
        return picture if picture.mode == mode else picture.convert(mode)
    base = "L" if picture.mode in ("LA", "La") else picture.mode if picture.mode in SPACES else "RGB"
    colors = _through_profile(picture.convert(base), profile)
    if picture.has_transparency_data:
        colors.putalpha(picture.convert("RGBA").getchannel("A"))
    return colors


def is_srgb(profile: bytes | None) -> bool:
    """Whether a colour profile says nothing else than what is taken for granted."""
    if not profile:
        return True
    text = profile[:4096]
    return b"sRGB" in text or "sRGB".encode("utf-16-be") in text


def _through_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB. A profile that is broken, or one of another kind of picture, is left out of account."""
    kind = SPACES[picture.mode]
    with suppress(ImageCms.PyCMSError, OSError, ValueError):
        source = ImageCms.createProfile("LAB") if profile is None else ImageCms.ImageCmsProfile(BytesIO(profile))
        if profile is None or source.profile.xcolor_space.strip() == kind:
            found = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )  # fmt: skip
            assert found is not None
            return found
    return picture.convert("RGB")


# ---- folders


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder by name, without what Macs and Windows leave there (._x.jpg, Thumbs.db)."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def resize_long_side(rgb: Float[Tensor, "3 height width"], long_side: int) -> Float[Tensor, "3 new_height new_width"]:
    """Bilinear with antialiasing, aspect kept. Differs from INS: the release squashes pictures to 224x224, nearest.

    >>> resize_long_side(torch.zeros(3, 100, 200), 50).shape
    torch.Size([3, 25, 50])
    """
    height, width = rgb.shape[1:]
    scale = long_side / max(height, width)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    return F.interpolate(rgb[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def write_rgb(path: Path, rgb: Float[Tensor, "3 height width"]) -> None:
    """Writes an 8-bit picture; the folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, rgb_bytes(rgb))


def rgb_bytes(rgb: Float[Tensor, "3 height width"]) -> np.ndarray:
    """Height x width x 3 in 0 to 255, as picture and video libraries take it.

    >>> rgb_bytes(torch.tensor([[[0.0]], [[0.5]], [[1.5]]])).tolist()
    [[[0, 128, 255]]]
    """
    return (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
