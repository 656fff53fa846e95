"""SIM and AM of a scene, by name: where positions are read from, and how wide the networks are."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Protocol, runtime_checkable

from ins3d.extension.named_settings import option
from ins3d.extension.ranges import ranged
from ins3d.extension.registry import Registry
from ins3d.fields.point_encoding import FrequencyEncoding
from ins3d.fields.style_features import StyleHash, StylePlanes, StyleTables
from ins3d.fields.stylized import StylizedField
from ins3d.style.sizes import USUAL_SIDE, finest_cells

NUM_COLOR_LAYERS = 4
COARSEST = 128
"""Cells along a side, of the coarsest features of a style."""


@runtime_checkable
class StyleFieldSettings(Protocol):
    """A dataclass: what can be set about one kind. Its fields are the keys of `--pipeline.model.style-field`."""

    view_direction: bool

    def setup(self, num_density_features: int | None, num_color_features: int, num_styles: int) -> StylizedField:
        """SIM and AM over a content with so many features; None: its geometry does not move."""
        ...


@dataclass
class GatedStyle(ABC):
    """SIM and AM with gates, whatever SIM reads positions from."""

    width: int = ranged(64, min=1)
    """Of SIM and AM."""
    density_gate: float = 1.0
    """Where the density gate starts."""
    color_gate: float = 0.9
    """Where the colour gate starts; with both at 1 nothing but the gates has a gradient (as in the release)."""
    mixes: Literal["colors", "features"] = "colors"
    """What AM mixes: `colors`, those of the content with those of the style; `features` (INS), of which the content's head
    makes colours: in close-ups the cells of the content's planes show."""
    view_direction: bool = False
    """Whether the style's change of colour depends on where one looks from (INS, `zero_viewdir` when False)."""

    @abstractmethod
    def encoding(self, num_styles: int) -> StyleTables | FrequencyEncoding:
        """What SIM reads positions from."""

    def setup(self, num_density_features: int | None, num_color_features: int, num_styles: int) -> StylizedField:
        """See `StyleFieldSettings.setup`."""
        return StylizedField(
            num_density_features, num_color_features, self.encoding(num_styles), num_styles, self.width, NUM_COLOR_LAYERS,
            (self.density_gate, self.color_gate), mixes_colors=self.mixes == "colors",
        )  # fmt: skip


@dataclass
class HashStyle(GatedStyle):
    """A feature hash for each style, and narrow networks."""

    resolutions: tuple[int, ...] = ranged((), min=2)
    """Cells along a side of the scene's cube. Empty: 128, 256 and so on to about one for every pixel along a picture:
    512, or 1024 at 1008x756."""
    channels: int = ranged(8, min=1)
    """Features at each corner of a cell."""
    log2_size: int = ranged(18, min=8, max=24)
    """Of the tables: 18 keep 262,144 corners for each resolution."""
    color_gate: float = 0.5

    def suited(self, side: int) -> "HashStyle":
        """See `SuitsPictures.suited`."""
        doublings = range((finest_cells(side) // COARSEST).bit_length())
        return replace(self, resolutions=self.resolutions or tuple(COARSEST * 2**each for each in doublings))

    def encoding(self, num_styles: int) -> StyleHash:
        """See `GatedStyle.encoding`."""
        return StyleHash(num_styles, self.suited(USUAL_SIDE).resolutions, self.channels, self.log2_size)


@dataclass
class PlanesStyle(GatedStyle):
    """Feature planes for each style, and narrow networks: the default before 0.3; in close-ups they show a plaid."""

    resolutions: tuple[int, ...] = ranged((96, 192, 384), min=2)
    """Cells along a side of each style's feature planes."""
    channels: int = ranged(8, min=1)
    """Features in each plane."""

    def encoding(self, num_styles: int) -> StylePlanes:
        """See `GatedStyle.encoding`."""
        return StylePlanes(num_styles, self.resolutions, self.channels)


@dataclass
class FrequencyStyle(GatedStyle):
    """The paper's: all styles read the same ten frequencies, 256 wide (spec A.3)."""

    num_frequencies: int = ranged(10, min=1)
    width: int = 256
    color_gate: float = 1.0
    mixes: Literal["colors", "features"] = "features"
    view_direction: bool = True

    def encoding(self, num_styles: int) -> FrequencyEncoding:
        """See `GatedStyle.encoding`."""
        return FrequencyEncoding(3, self.num_frequencies)


STYLE_FIELDS: Registry[type[StyleFieldSettings]] = Registry("style field", "ins3d.style_fields", StyleFieldSettings)
STYLE_FIELDS.register("hash", HashStyle)
STYLE_FIELDS.register("planes", PlanesStyle)
STYLE_FIELDS.register("frequency", FrequencyStyle)
StyleFieldChoice = Annotated[StyleFieldSettings, option(STYLE_FIELDS, "pipeline.model.style-field")]
"""On the command line `NAME`, or `NAME:key=value,key=value`."""
