"""The standard file of splats: a .ply as the authors of 3DGS write it.

x y z; nx ny nz (zeros); f_dc_0..2 (colour of degree 0); f_rest_* (higher degrees, red first); opacity as a logit;
scale_0..2 as logarithms; rot_0..3 (w x y z).
"""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ins3d.files.whole import written_whole
from ins3d.splats.gaussians import Gaussians, plain_gaussians
from ins3d.splats.harmonics import NUMBER

CONSTANT = 0.28209479177387814
"""The spherical harmonic of degree 0: rgb = .5 + CONSTANT * f_dc."""
LEAST, MOST = 1e-6, 1 - 1e-6
"""Opacities whose logits are finite."""
REQUIRED = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1",
            "rot_2", "rot_3")  # fmt: skip
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8",
    "float64": "f8",
}  # fmt: skip
CONVERT = "npx @playcanvas/splat-transform {} scene.ply"


def write_ply(path: Path, splats: Gaussians) -> None:
    """Writes the file, whole or not at all."""
    number = 3 * splats.harmonics.shape[1]
    rest = [f"f_rest_{index}" for index in range(number)]
    names = ["x", "y", "z", "nx", "ny", "nz", *REQUIRED[3:6], *rest, *REQUIRED[6:]]
    columns: list[Tensor] = [
        splats.means, torch.zeros_like(splats.means), (splats.rgb - 0.5) / CONSTANT,
        splats.harmonics.transpose(1, 2).reshape(len(splats), number),
        torch.logit(splats.opacities.clamp(LEAST, MOST))[:, None], splats.scales.clamp(min=1e-12).log(), splats.rotations,
    ]  # fmt: skip
    table = torch.cat([column.float() for column in columns], dim=1).numpy().astype("<f4")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(splats)}"]
    header = "\n".join([*lines, *(f"property float {name}" for name in names), "end_header", ""])
    with written_whole(path) as aside:
        aside.write_bytes(header.encode() + table.tobytes())


def read_ply(path: Path, setting: str) -> tuple[Gaussians, list[str]]:
    """(the splats of a file; what was odd about them, in sentences).

    Splats with values that are not finite, or quaternions of length 0, are left out and counted. Raises FileNotFoundError or
    ValueError, naming `setting` and the remedy, for what holds no splats.
    """
    table = _table(path, setting)
    names = table.dtype.names or ()
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        what = "triangles or points" if "f_dc_0" in missing else "splats of a kind unknown here"
        raise ValueError(
            f"{setting}: {path} holds {what}: it has no {missing[0]}; give a .ply of splats as 3DGS, splatfacto or Postshot "
            "write it."
        )

    def columns(*wanted: str) -> Tensor:
        return torch.from_numpy(np.stack([table[name].astype(np.float32) for name in wanted], axis=-1))

    rest = sorted((name for name in names if re.fullmatch(r"f_rest_\d+", name)), key=lambda name: int(name[7:]))
    notes = []
    if len(rest) not in [3 * number for number in NUMBER]:
        notes.append(
            f"{path.name}: how colours change with the view is left out: {len(rest)} numbers f_rest_*, where degrees 0 to 3 "
            "have 0, 9, 24 or 45."
        )
        rest = []
    every = torch.cat([columns(*REQUIRED), *([columns(*rest)] if rest else [])], dim=-1)
    every[:, 6] = every[:, 6].clamp(-30, 30)  # some write what is opaque as infinite
    whole = every.isfinite().all(-1) & (every[:, 10:14].norm(dim=-1) > 0)
    if not whole.all():
        notes.append(
            f"{path.name}: {int((~whole).sum())} of {len(every)} splats are left out: their numbers are not finite, or "
            "their rotations none."
        )
    every = every[whole]
    if not len(every):
        raise ValueError(" ".join([f"{setting}: {path} holds no splats; export it anew.", *notes]))
    splats = plain_gaussians(
        every[:, :3], every[:, 7:10].clamp(-30, 30).exp(), every[:, 10:14], every[:, 6].sigmoid(),
        0.5 + CONSTANT * every[:, 3:6],
    )  # fmt: skip
    harmonics = every[:, 14:].reshape(len(every), 3, -1).transpose(1, 2) if rest else splats.harmonics
    return Gaussians(**{**vars(splats), "harmonics": harmonics.contiguous()}), notes


def _table(path: Path, setting: str) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{setting}: {path} does not exist; give a .ply of splats.")
    if path.suffix.lower() != ".ply":
        raise ValueError(f"{setting}: {path.suffix or path.name} is not read; make a .ply of it: {CONVERT.format(path)}")
    with path.open("rb") as file:
        head = file.read(1_000_000)
    header, end, _ = head.partition(b"end_header")
    if not head.startswith(b"ply") or not end:
        raise ValueError(f"{setting}: {path} is no PLY file, or is cut off; export it anew.")
    begin = head.index(b"\n", len(header)) + 1
    lines = [line.split() for line in header.decode("latin-1").splitlines()]
    kind = next((line[1] for line in lines if line[:1] == ["format"]), "none")
    elements = [(line[1], int(line[2])) for line in lines if line[:1] == ["element"]]
    if any(name == "chunk" for name, _ in elements):
        raise ValueError(f"{setting}: {path} is compressed; make a plain .ply of it: {CONVERT.format(path)}")
    if not elements or elements[0][0] != "vertex":
        raise ValueError(f"{setting}: {path} does not begin with its vertices; give a .ply of splats.")
    return _rows(path, setting, lines, kind, elements[0][1], begin)


def _rows(path: Path, setting: str, lines: list[list[str]], kind: str, count: int, begin: int) -> np.ndarray:
    """The first element's rows."""
    first = next(index for index, line in enumerate(lines) if line[:1] == ["element"])
    properties = []
    for line in lines[first + 1 :]:
        if line[:1] == ["element"]:
            break
        if line[:1] == ["property"]:
            if len(line) != 3 or line[1] not in TYPES:
                raise ValueError(f"{setting}: {path} has a vertex property {' '.join(line[1:])}; splats have none such.")
            properties.append((line[2], TYPES[line[1]]))
    if kind == "ascii":
        rows = path.read_bytes()[begin:].decode("latin-1").splitlines()[:count]
        numbers = np.loadtxt(rows, ndmin=2) if rows else np.zeros((0, len(properties)))
        if numbers.shape != (count, len(properties)):
            raise ValueError(f"{setting}: {path} is cut off, or has other columns than it says; export it anew.")
        return np.rec.fromarrays(list(numbers.T), dtype=np.dtype([(name, "f8") for name, _ in properties]))
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(kind)
    if order is None:
        raise ValueError(f"{setting}: {path} has the format {kind}, which is none of PLY; export it anew.")
    layout = np.dtype([(name, order + code) for name, code in properties])
    with path.open("rb") as file:
        file.seek(begin)
        raw = file.read(count * layout.itemsize)
    if len(raw) < count * layout.itemsize:
        raise ValueError(
            f"{setting}: {path} is cut off: it has {len(raw) // max(layout.itemsize, 1)} of {count} splats; export it anew."
        )
    return np.frombuffer(raw, layout)
