"""Materials of glTF: one colour, and what multiplies it, as the standard says (factor x texture x colour of the vertex).

Extensions: KHR_texture_transform, EXT_texture_webp, EXT_texture_avif, KHR_materials_pbrSpecularGlossiness,
KHR_materials_emissive_strength.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from kornia.color import linear_rgb_to_rgb

from ins3d.meshes.gltf_file import COMPRESSIONS, GltfFile
from ins3d.meshes.triangles import CLAY, converted, times

Color = tuple[float, float, float]
WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """Of the triangles of one primitive."""

    color: Color
    """sRGB; white beside a texture, which has it in it."""
    texture: Float[np.ndarray, "height width 3"] | None
    uvs: Float[np.ndarray, "vertices 2"] | None
    """Rightwards and upwards."""
    tints: Float[np.ndarray, "vertices 3"] | None
    """sRGB."""


class GltfLooks:
    """Those of one file; what a user should know gathers in `notes`."""

    def __init__(self, file: GltfFile) -> None:
        self.file = file
        self.notes: dict[str, None] = {}
        self._textures: dict[tuple[int, Color], Float[np.ndarray, "height width 3"]] = {}

    def of(self, primitive: dict[str, Any]) -> Look:
        """What a primitive looks like."""
        attributes, number = primitive["attributes"], primitive.get("material")
        color, told = self._base({} if number is None else self.file.all("materials")[number])
        tints = self._tints(attributes)
        texture = None if told is None else self._texture(told["index"], color)
        uvs = None if texture is None or told is None else self._uvs(attributes, told)
        if texture is not None and uvs is None:
            self.notes[f"{self.file.path.name} has a texture without places in it, which is left out."] = None
            texture = None
        if texture is not None:
            color = WHITE
        elif min(color) > 0.999:
            color = CLAY if tints is None else WHITE  # a plain white is one that nobody chose
        return Look(color, texture, uvs, tints)

    def _tints(self, attributes: dict[str, int]) -> Float[np.ndarray, "vertices 3"] | None:
        if "COLOR_0" not in attributes:
            return None
        told = self.file.accessor(attributes["COLOR_0"])[:, :3]
        most = 1.0 if told.dtype.kind == "f" else float(np.iinfo(told.dtype).max)
        return converted(np.ascontiguousarray(told / most).clip(0, 1), linear_rgb_to_rgb)

    def _base(self, material: dict[str, Any]) -> tuple[Color, dict[str, Any] | None]:
        """(factor as sRGB, which texture)."""
        name, whose = material.get("name", "a material"), self.file.path.name
        if (mode := material.get("alphaMode", "OPAQUE")) != "OPAQUE":
            self.notes[f"{name} of {whose} is transparent (alphaMode {mode}); it is painted as if it were not."] = None
        old = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
        told = material.get("pbrMetallicRoughness", {}) if old is None else old
        color = _srgb(told.get("baseColorFactor" if old is None else "diffuseFactor", WHITE))
        texture = told.get("baseColorTexture" if old is None else "diffuseTexture")
        strength = material.get("extensions", {}).get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1.0)
        light, shining = _srgb(material.get("emissiveFactor", BLACK), float(strength)), material.get("emissiveTexture")
        untold = max(color) < 0.01 or (shining is not None and texture is None and min(color) > 0.999)
        if untold and max(light) > 0:
            self.notes[f"{name} of {whose} only shines (emissive): its light is taken for its colour."] = None
            return light, shining
        return color, texture

    def _uvs(self, attributes: dict[str, int], told: dict[str, Any]) -> Float[np.ndarray, "vertices 2"] | None:
        moved = told.get("extensions", {}).get("KHR_texture_transform", {})
        name = f"TEXCOORD_{moved.get('texCoord', told.get('texCoord', 0))}"
        if name not in attributes:
            return None
        values = self.file.accessor(attributes[name])
        u, v = (values * moved.get("scale", [1.0, 1.0])).T
        cos, sin = np.cos(moved.get("rotation", 0.0)), np.sin(moved.get("rotation", 0.0))
        across, down = moved.get("offset", [0.0, 0.0])
        return np.stack([cos * u + sin * v + across, 1 - (cos * v - sin * u + down)], axis=-1)

    def _texture(self, number: int, factor: Color) -> Float[np.ndarray, "height width 3"] | None:
        """A picture times the material's colour."""
        key = (number, factor)
        if key not in self._textures:
            told = self.file.all("textures")[number]
            others = {name: each["source"] for name, each in told.get("extensions", {}).items() if "source" in each}
            if "source" not in told and len(others) == 1 and set(others) <= set(COMPRESSIONS):
                self.file.refuse_compressed(next(iter(others)))
            source = told.get("source", next(iter(others.values()), None))
            if source is None:
                return None
            picture = self.file.picture(source)
            self._textures[key] = picture if min(factor) > 0.999 else times(picture, np.array(factor)).astype(np.float32)
        return self._textures[key]


def _srgb(linear: Any, strength: float = 1.0) -> Color:
    values = strength * np.array([linear[:3]], float)
    red, green, blue = converted(values.clip(0, 1), linear_rgb_to_rgb)[0].tolist()
    return red, green, blue
