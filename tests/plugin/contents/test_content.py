"""What every kind of content answers, and what is said of one that does not."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle

from ins3d.placement.scene import Placement
from ins3d.plugin.contents.content import (
    CONTENTS,
    PARAM_GROUPS,
    Content,
    GeometryLook,
    Merging,
    MovableGeometry,
    able,
    build_content,
)
from tests.plugin.tiny_scenes import Scene, build_pipeline, small_config, small_content

KINDS = ["grid", "planes", "hash", "frequency"]


@pytest.fixture
def rays() -> RayBundle:
    """Six that start before the scene and look through it."""
    origins = torch.tensor([[0.0, 0.0, -3.0]]).expand(6, 3) + 0.1 * torch.randn(6, 3)
    return RayBundle(origins, torch.tensor([[0.0, 0.0, 1.0]]).expand(6, 3), torch.full((6, 1), 1e-4))


def content_of(kind: str) -> Any:
    content = build_content(small_content(kind)).eval()
    content.place(Placement((0.0, 0.0, 0.0), 1.0, 1.0, 6.0, True, "the test"), torch.tensor([0.1, 0.2, 0.3]))
    return content


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    @pytest.mark.parametrize("number", [None, 1, 3])
    def test_a_look_has_a_picture_and_its_points(self, kind: str, number: int | None, rays: RayBundle):
        content = content_of(kind)
        look = content.look(rays, Merging(number, spread_mult=0.5, footprint_mult=0.5))
        samples = look.weights.shape[1]
        assert look.points.positions.shape == (6, number or samples, 3)
        assert look.points.color_features.shape == (6, number or samples, content.num_color_features)
        torch.testing.assert_close(look.points.weights.sum(1), look.accumulation)
        torch.testing.assert_close(look.weights.sum(1), look.accumulation)
        assert rays.nears is None  # the caller's rays stay as they were

    def test_with_their_own_features_points_have_the_contents_colours(self, kind: str, rays: RayBundle):
        content = content_of(kind)
        look = content.look(rays, Merging(None))
        directions = rays.directions[:, None].expand(*look.points.positions.shape)
        rgb = content.restyle(look.points, look.points.color_features, directions)
        composited = (look.points.weights * rgb).sum(1) + (1 - look.accumulation) * content.background
        torch.testing.assert_close(composited, look.rgb)

    def test_every_parameter_is_in_one_group(self, kind: str):
        content = content_of(kind)
        groups = content.param_groups()
        assert tuple(groups) == PARAM_GROUPS and groups["content"] and groups["proposals"]
        assert bool(groups["content_tables"]) == (kind != "frequency")
        listed = [id(parameter) for group in groups.values() for parameter in group]
        assert sorted(listed) == sorted(map(id, content.parameters()))

    def test_moved_by_nothing_it_is_what_it_was_and_by_much_it_is_opaque(self, kind: str, rays: RayBundle):
        content = content_of(kind)
        look = content.look(rays, Merging(2))
        same = content.moved(look, look.raw_density)
        assert isinstance(same, GeometryLook)
        assert torch.equal(same.rgb, look.rgb) and torch.equal(same.depth, look.depth)
        assert torch.equal(same.points.positions, look.points.positions)
        dense = content.moved(look, torch.full_like(look.raw_density, 11.0))
        assert float(content.opacity(dense).min()) >= float(content.opacity(look).min())
        assert float(dense.accumulation.min()) > 0.99

    def test_a_resumed_sampler_goes_on_where_it_stood(self, kind: str):
        content, again = content_of(kind), content_of(kind)
        content.train()
        content.step(7)
        again.take_random_state(content.random_state())
        assert again.random_state() == content.random_state() and content.random_state()[0] == 7

    def test_its_settings_are_found_by_their_name(self, kind: str):
        assert CONTENTS[kind] is type(small_content(kind)) and content_of(kind).kind == kind


class Blank(Content):
    """Answers nothing."""


@dataclass
class BlankSettings:
    def setup(self) -> Any:
        return Blank()  # type: ignore[abstract]


@dataclass
class NumberSettings:
    def setup(self) -> Any:
        return 3


class Flat(Content):
    """Has no capabilities."""

    num_color_features = 3
    look = restyle = normals = lambda self, *_: None  # type: ignore[assignment]

    def param_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        return {}


@dataclass
class FlatSettings:
    def setup(self) -> Any:
        return Flat()


class TestInAPipeline:
    def test_what_cannot_be_learned_is_refused_before_the_first_step(
        self, open_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(CONTENTS._entries, "flat", FlatSettings)
        text = "pipeline.content-steps: content flat cannot be learned from pictures; use 0."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            build_pipeline(small_config(open_scene, tmp_path, model__content=FlatSettings()))

    def test_a_parameter_group_without_an_optimizer_is_refused(
        self, open_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(CONTENTS._entries, "flat", FlatSettings)
        pipeline = build_pipeline(small_config(open_scene, tmp_path, model__content=FlatSettings(), content_steps=0))
        monkeypatch.setattr(Flat, "param_groups", lambda self: {"splats": []})
        text = "pipeline.model.content: flat has a parameter group 'splats', for which there is no optimizer; choose among "
        with pytest.raises(ValueError, match=f"^{re.escape(text)}content_tables, content, proposals"):
            pipeline.model.get_param_groups()


class TestWhatIsNone:
    def test_a_missing_method_is_named(self):
        with pytest.raises(TypeError, match="Blank .*look.*normals.*param_groups.*restyle"):
            build_content(BlankSettings())

    def test_what_is_built_must_be_a_content(self):
        with pytest.raises(
            TypeError, match=r"NumberSettings.setup returns int, which is no ins3d.plugin.contents.content.Content\.$"
        ):
            build_content(NumberSettings())

    def test_a_missing_capability_is_told_by_the_setting_that_needs_it(self):
        flat = Flat()
        flat.kind = "flat"
        with pytest.raises(ValueError, match="^some-setting: content flat cannot$"):
            able(flat, MovableGeometry, "some-setting: content {} cannot")

    def test_hash_settings_that_contradict_each_other_are_refused(self):
        settings = small_content("hash")
        settings.num_proposal_samples = (24, 12)
        with pytest.raises(
            ValueError, match="hash:proposal_levels has 1 parts and num_proposal_samples 2; give one for each"
        ):
            settings.setup()
