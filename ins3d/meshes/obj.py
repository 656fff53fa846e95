"""Reads OBJ and its materials, in the file's own numbers and order; names of files as other computers write them.

Our own, because trimesh parts vertices at seams and does not find textures by other computers' names: version 5.2 loses the
colours of five of the nine files of case m06 (2026-11-28).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ins3d.files.foreign import find_file, read_text
from ins3d.files.pictures import read_texture_picture
from ins3d.meshes.polygons import fan
from ins3d.meshes.triangles import CLAY, SurfaceMesh

MAP_OPTIONS = r"(?:-\S+(?:\s+(?:[-+.\d]+|on|off))+\s+)*"
"""Before the name of a texture in an .mtl file."""
FIRST_TILE = 1001
"""UDIM: the picture of the first square of a layout; ten squares lie side by side."""
Texture = Float[np.ndarray, "height width 3"]


@dataclass
class Material:
    """What an .mtl file says of one."""

    color: tuple[float, float, float] | None = None
    texture: Texture | None = None
    tiles: dict[int, Texture] = field(default_factory=dict)
    """Of UDIM, by number."""


class ObjReader:
    """One file. Raises FileNotFoundError or ValueError, naming `setting`, for what is missing or no OBJ."""

    def __init__(self, path: Path, setting: str) -> None:
        self.path, self.setting = path, setting
        self.notes: list[str] = []
        self.materials: dict[str, Material] = {}
        self.positions: list[list[float]] = []
        self.places: list[list[float]] = []
        self.faces: list[list[tuple[int, int]]] = []
        """Of each polygon's corners: (vertex, place in the texture or -1), counted from 0."""
        self.face_materials: list[str] = []
        self._wrong: int | None = None
        """The number of a vertex that there is not."""

    def read(self) -> tuple[SurfaceMesh, Float[np.ndarray, "lines 3"]]:
        """(the mesh, whose vertices are the file's; the places of all lines `v`, nan for what is no number)."""
        self._read_lines()
        own = np.array([line[:3] for line in self.positions]).reshape(-1, 3)
        if not np.isfinite(own).all():
            return SurfaceMesh(own, np.zeros((0, 3), int)), own
        last = max((vertex for face in self.faces for vertex, _ in face), default=-1)
        wrong = last + 1 if self._wrong is None and last >= len(own) else self._wrong
        if wrong is not None:
            raise ValueError(
                f"{self.setting}: {self.path} has a face with vertex {wrong}, but {len(own)} vertices; export it again."
            )
        faces, uvs, parents = self._triangles(own)
        words = [self.face_materials[parent] for parent in parents.tolist()]
        textures, colors, numbers = self._looks(words, uvs)
        if any(texture is not None for texture in textures) and not np.isfinite(uvs).any():
            self.notes.append(f"{self.path.name} has a texture without places in it (vt), which is left out.")
        mesh = SurfaceMesh(
            own, faces, np.nan_to_num(uvs) if np.isfinite(uvs).any() else None, textures, colors, numbers,
            self._vertex_colors(), notes=tuple(self.notes),
        )  # fmt: skip
        return mesh, own

    def _read_lines(self) -> None:
        material = ""
        for line in re.sub(r"\\\r?\n", " ", read_text(self.path)).splitlines():
            kind, rest = _words(line)
            if kind in ("v", "vt", "f"):
                self._read_numbers(kind, rest.partition("#")[0].split(), material)
            elif kind == "usemtl":
                material = rest
            elif kind == "mtllib":
                for library in self._libraries(rest.strip('"')):
                    self._read_library(library)

    def _read_numbers(self, kind: str, words: list[str], material: str) -> None:
        if kind == "v":
            self.positions.append([_number(word) for word in [*words, *["nan"] * (3 - len(words))]])
        elif kind == "vt":
            self.places.append([_number(word) for word in [*words, "0", "0"][:2]])
        elif len(words) >= 3:
            self.faces.append([self._corner(word) for word in words])
            self.face_materials.append(material)

    def _corner(self, word: str) -> tuple[int, int]:
        vertex, _, rest = word.partition("/")
        place = rest.partition("/")[0]
        number = int(vertex) if re.fullmatch(r"[-+]?\d+", vertex) else 0
        if number == 0 or number < -len(self.positions):
            self._wrong = number
        index = number - 1 if number > 0 else len(self.positions) + number
        uv = int(place) if re.fullmatch(r"[-+]?\d+", place) else 0
        uv = uv - 1 if uv > 0 else len(self.places) + uv if uv < 0 else -1
        return index, uv

    def _triangles(self, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, Int[np.ndarray, " faces"]]:
        """(faces, places of their corners in the texture, nan where there are none; the polygon of each)."""
        faces, corners, parents = [], [], []
        for number, polygon in enumerate(self.faces):
            for triangle in fan(own, [vertex for vertex, _ in polygon]):
                faces.append([polygon[corner][0] for corner in triangle])
                corners.append([polygon[corner][1] for corner in triangle])
                parents.append(number)
        table = np.array([*self.places, [np.nan, np.nan]]).reshape(-1, 2)
        index = np.array(corners, int).reshape(-1, 3)
        index = np.where((index < 0) | (index >= len(self.places)), len(self.places), index)
        return np.array(faces, int).reshape(-1, 3), table[index], np.array(parents, int)

    def _vertex_colors(self) -> Float[np.ndarray, "vertices 3"] | None:
        """Behind the coordinates, where every vertex has some; not beside textures, which say more."""
        if (
            not self.positions
            or min(map(len, self.positions)) < 6
            or any(m.texture is not None for m in self.materials.values())
        ):
            return None
        colors = np.array([line[3:6] for line in self.positions])
        return (colors / (255 if colors.max() > 1 else 1)).clip(0, 1)

    def _looks(self, words: list[str], uvs: np.ndarray) -> tuple[tuple, tuple, Int[np.ndarray, " faces"]]:
        """(textures, colours, each triangle's number in them)."""
        says_colors = any(material.color is not None for material in self.materials.values())
        textures: list[Texture | None] = []
        colors: list[tuple[float, float, float]] = []
        numbers = np.zeros(len(words), int)
        named = np.array(words)
        for word in dict.fromkeys(words):
            here = named == word
            material = self._material(word)
            color = (material.color if says_colors else None) or CLAY
            squares = np.floor(np.nan_to_num(uvs[here]).mean(1)).astype(int)
            tile = FIRST_TILE + squares[:, 0] + 10 * squares[:, 1]
            missing = sorted(set(tile.tolist()) - set(material.tiles)) if material.tiles else []
            if missing:
                self.notes.append(f"{self.path.name} has triangles on UDIM {missing[0]}, of which there is no picture.")
            for number in sorted(set(tile.tolist())) if material.tiles else [None]:
                which = np.flatnonzero(here) if number is None else np.flatnonzero(here)[tile == number]
                numbers[which] = len(textures)
                textures.append(material.texture if number is None else material.tiles.get(number))
                colors.append(color)
        return tuple(textures), tuple(colors), numbers

    # ---- materials

    def _material(self, word: str) -> Material:
        alike = (material for name, material in self.materials.items() if name.casefold() == word.casefold())
        found = self.materials.get(word) or next(alike, None)
        if found is None and self.materials and word:
            self.notes.append(f"{self.path.name} has triangles of material {word}, which no .mtl describes: they are clay.")
        return found or Material()

    def _libraries(self, words: str) -> list[Path]:
        """One whose name may have blanks, or several."""
        whole = find_file(self.path.parent, words)
        names = [words] if whole is not None else words.split()
        found = [find_file(self.path.parent, name) for name in names]
        if None in found or not names:
            name = words if len(names) < 2 or not any(found) else names[found.index(None)]
            raise FileNotFoundError(
                f"{self.setting}: {self.path} needs {name}, which is not beside it; put it there, or delete the line mtllib."
            )
        return [library for library in found if library is not None]

    def _read_library(self, library: Path) -> None:
        material, ambient = Material(), {}
        for line in read_text(library).splitlines():
            kind, rest = _words(line)
            kind = kind.lower()
            if kind == "newmtl":
                material = self.materials[rest] = Material()
            elif kind == "kd":
                material.color = _color(rest) or material.color
            elif kind in ("map_kd", "map_ka"):
                told = re.sub(rf"^{MAP_OPTIONS}", "", rest).strip('"')
                if not told:
                    continue  # an exporter without a picture
                if kind == "map_kd":
                    self._add_texture(material, told, library)
                else:
                    ambient[id(material)] = (material, told)
        for material, told in ambient.values():
            if material.texture is None and not material.tiles:
                self.notes.append(f"{library.name} tells a texture as map_Ka only ({told}): it is taken for the colour.")
                self._add_texture(material, told, library)

    def _add_texture(self, material: Material, told: str, library: Path) -> None:
        pattern = re.compile(re.escape(told).replace("<UDIM>", r"(\d{4})"), re.IGNORECASE)
        if "<UDIM>" in told:
            tiles = {
                int(found[1]): file for file in sorted(library.parent.iterdir()) if (found := pattern.fullmatch(file.name))
            }
            if not tiles:
                raise FileNotFoundError(
                    f"{self.setting}: no picture {told} (UDIM: 1001, 1002, ...) lies beside {library}; put them there."
                )
            material.tiles = {number: self._texture(file) for number, file in tiles.items()}
            self.notes.append(f"{told} are {len(tiles)} pictures (UDIM).")
            material.texture = next(iter(material.tiles.values()))
            return
        texture = find_file(library.parent, told)
        if texture is None:
            raise FileNotFoundError(
                f"{self.setting}: the texture {told} of {library} is missing; put it beside it (folders and capitals in its "
                "name do not matter)."
            )
        if texture.name != told.replace("\\", "/").rpartition("/")[2]:
            self.notes.append(f"{told} is taken to be {texture.name}.")
        material.texture = self._texture(texture)

    def _texture(self, path: Path) -> Texture:
        return read_texture_picture(path, f"{self.setting}: the texture")


def _words(line: str) -> tuple[str, str]:
    """(the first one, the others), whatever blanks part them."""
    first, *rest = line.split(None, 1) or [""]
    return first, rest[0].strip() if rest else ""


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _color(words: str) -> tuple[float, float, float] | None:
    values = [_number(word) for word in words.split()[:3]]
    if len(values) < 3 or not np.isfinite(values).all():
        return None
    red, green, blue = (np.array(values) / (255 if max(values) > 2 else 1)).clip(0, 1).tolist()  # some write 0 to 255
    return red, green, blue
