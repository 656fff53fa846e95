"""What is painted: the protocol of a content, what it may be able to do besides, and the registry of all kinds.

A kind is added by registration: `CONTENTS.register(name, settings_class)`, or an entry point in the group `ins3d.contents`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor, nn

from ins3d.extension.named_settings import option
from ins3d.extension.registry import Registry
from ins3d.fields.merged_points import SurfacePoints
from ins3d.placement.scene import Placement, ScenePlacement
from ins3d.plugin.rays.look import Look, Merging

SETTING = "pipeline.model.content"
PARAM_GROUPS = ("content_tables", "content", "proposals")
"""Names that `Content.param_groups` may use; each has an optimizer in `plugin/methods.py`."""
FrozenDensity = Callable[[Float[Tensor, "*batch 3"]], Float[Tensor, "*batch 1"]]
"""Positions in the unit ball to raw density, of a content that no longer learns."""
Capability = TypeVar("Capability")


class Content(nn.Module, ABC):
    """A scene that is painted: its own picture, and the same picture with other colours."""

    kind = "of no name"
    """The name it is registered under; set by `build_content`."""
    num_color_features: int
    """Channels of `Look.points.color_features`: what AM changes."""
    background: Tensor
    points_as_learned = False
    """Whether pictures are made of as many points a ray as strokes were learned with, though there is time for more."""

    def __init__(self) -> None:
        super().__init__()
        self.placement = ScenePlacement()
        self.register_buffer("background", torch.ones(3))

    def place(self, placement: Placement, background: Float[Tensor, " 3"]) -> None:
        """Takes over where the scene lies and what shows through where it is empty; both are saved with the content."""
        self.placement.place(placement)
        self.background.copy_(background)

    @abstractmethod
    def look(self, rays: RayBundle, merging: Merging) -> Look:
        """What rays in scene units see; in eval mode without random draws."""

    def still_look(self, rays: RayBundle, merging: Merging) -> Look:
        """As `look`, in eval mode, where nothing learns and no density moves; a content may have a faster way."""
        return self.look(rays, merging)

    def best_order(self, rays: RayBundle) -> Int[Tensor, " rays"] | None:
        """In which rays are looked at soonest, where it matters."""
        return None

    @abstractmethod
    def restyle(
        self,
        points: SurfacePoints,
        features: Float[Tensor, "rays points channels"],
        directions: Float[Tensor, "rays points 3"] | None,
    ) -> Float[Tensor, "rays points 3"]:
        """RGB of `points` whose features have become `features`; with `points.color_features`, the content's own.

        Without directions, the colour that does not depend on the view.
        """

    @abstractmethod
    def normals(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Unit vectors out of the surface at points in scene units; pictures turn those that face away from their rays."""

    @abstractmethod
    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every parameter, once, under names of `PARAM_GROUPS`; groups may be empty.

        `content_tables` (feature planes, hash tables: a fast rate) and `content` (networks and all else) may go on learning
        in the style stage; `proposals` (what only decides where rays are sampled) do not.
        """

    def step(self, step: int) -> None:
        """Called after each step of the content stage."""

    def random_state(self) -> Any:
        """What an exact resumption needs besides parameters and torch's generators; plain numbers, tuples or None."""
        return None

    def take_random_state(self, state: Any) -> None:
        """Takes over what `random_state` returned."""


class LearnableContent(ABC):
    """Capability: the content can be learned from training rays (the content stage)."""

    @abstractmethod
    def training_outputs(self, rays: RayBundle, view_dropout: float) -> dict[str, Any]:
        """At least `rgb` (rays 3) over `background` (3, or rays 3); photographs with alpha are laid over the same.

        A share `view_dropout` of the rays is shown no view direction.
        """

    @abstractmethod
    def losses(self, outputs: dict[str, Any], image: Float[Tensor, "rays 3"]) -> dict[str, Float[Tensor, ""]]:
        """Unweighted, of `training_outputs` against the photographs' pixels; the model weighs those it has a setting for."""


@dataclass
class GeometryLook(Look):
    """A look at samples whose density may be changed."""

    positions: Float[Tensor, "rays samples 3"]
    """In the unit ball."""
    raw_density: Float[Tensor, "rays samples 1"]
    """Density before its activation: what AM mixes and the geometry loss compares (spec A.2, A.7)."""
    density_features: Float[Tensor, "rays samples density_channels"]


class MovableGeometry(ABC):
    """Capability: the style may change the content's density (`geometry distilled`, `geometry free`)."""

    num_density_features: int

    @abstractmethod
    def look(self, rays: RayBundle, merging: Merging) -> GeometryLook:
        """As `Content.look`."""

    @abstractmethod
    def moved(self, look: GeometryLook, raw_density: Float[Tensor, "rays samples 1"]) -> GeometryLook:
        """The same samples with another density; gradients reach it."""

    @abstractmethod
    def opacity(self, look: GeometryLook) -> Float[Tensor, "rays samples 1"]:
        """Of each sample alone, in [0, 1]."""

    @abstractmethod
    def frozen_density(self, state: dict[str, Tensor] | None = None) -> FrozenDensity:
        """A copy of the geometry that no longer learns: as it is now, or as in a `state_dict` of the content."""


@runtime_checkable
class ContentSettings(Protocol):
    """A dataclass: what can be set about one kind of content. Its fields are the keys of `--pipeline.model.content`."""

    def setup(self) -> Content:
        """Builds the content; ValueError, naming the key, for values that make none."""
        ...


CONTENTS: Registry[type[ContentSettings]] = Registry("content", "ins3d.contents", ContentSettings)
ContentChoice = Annotated[ContentSettings, option(CONTENTS, SETTING)]
"""A content on the command line: `NAME`, or `NAME:key=value,key=value`."""


def build_content(settings: ContentSettings) -> Content:
    """The content, checked. TypeError names the class and the method that is missing."""
    content = settings.setup()
    if not isinstance(content, Content):
        raise TypeError(
            f"{CONTENTS.group}: {type(settings).__name__}.setup returns {type(content).__name__}, which is no "
            f"{Content.__module__}.Content."
        )
    content.kind = CONTENTS.name_of(type(settings))
    return content


def able(content: Content, capability: type[Capability], complaint: str) -> Capability:
    """The content as one that has a capability; else ValueError: `complaint`, in which `{}` stands for its name."""
    if not isinstance(content, capability):
        raise ValueError(complaint.format(content.kind))
    return content
