import dataclasses

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle

from ins3d.fields.merged_points import SurfacePoints
from ins3d.fields.point_encoding import FeaturePlanes
from ins3d.plugin.contents.content import Look, Merging
from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.ray_content import FrequencySettings, GridSettings, RayContentField
from ins3d.plugin.rays.still_field import StillField
from tests.plugin.tiny_scenes import psnr

MERGING = Merging(4, spread_mult=0.3, footprint_mult=0.6)


def both(field: RayContentField, rays: RayBundle, merging: Merging = MERGING) -> tuple[Look, Look]:
    """(the fast, the slow) look."""
    with torch.inference_mode():
        fast = field.still_look(rays, merging)
    return fast, field.look(rays, merging)


class TestAgreement:
    """The slow path is the reference."""

    def test_pictures_agree_at_40_dB(self, field: RayContentField, rays: RayBundle):
        fast, slow = both(field, rays)
        assert psnr(fast.rgb, slow.rgb) > 40
        assert float(slow.rgb.std(0).mean()) > 0.05

    def test_depth_and_weights_are_nearly_the_same(self, field: RayContentField, rays: RayBundle):
        fast, slow = both(field, rays)
        torch.testing.assert_close(fast.accumulation, slow.accumulation, atol=3e-3, rtol=0)
        torch.testing.assert_close(fast.weights, slow.weights, atol=2e-2, rtol=0)
        seen = slow.accumulation > 0.5
        torch.testing.assert_close(fast.depth[seen], slow.depth[seen], atol=0, rtol=5e-3)
        assert 0.1 < float(seen.float().mean())

    @pytest.mark.parametrize("number", [1, 3, 4, None])
    def test_points_are_the_same_places(self, field: RayContentField, rays: RayBundle, number: int | None):
        fast, slow = (look.points for look in both(field, rays, dataclasses.replace(MERGING, num_points=number)))
        seen = slow.weights[..., 0] > 1e-3
        for name in (part.name for part in dataclasses.fields(SurfacePoints)):
            ours, theirs = getattr(fast, name), getattr(slow, name)
            assert ours.shape == theirs.shape
            scale = float(theirs[seen].abs().max())
            assert float((ours - theirs)[seen].abs().mean()) < 0.01 * scale, name

    def test_a_crop_box_cuts_both(self, field: RayContentField, rays: RayBundle):
        rays.nears, rays.fars = torch.full((300, 1), 2.0), torch.full((300, 1), 3.9)
        fast, slow = both(field, rays)
        assert psnr(fast.rgb, slow.rgb) > 40
        torch.testing.assert_close(fast.depth, slow.depth, atol=0, rtol=5e-3)


class TestPreparation:
    def test_a_field_that_has_moved_on_is_prepared_again(self, field: RayContentField, rays: RayBundle):
        before, _ = both(field, rays)
        with torch.no_grad():
            for table in field.content.tables():
                table.mul_(0.5)
        after, slow = both(field, rays)
        assert psnr(after.rgb, before.rgb) < 30 and psnr(after.rgb, slow.rgb) > 40
        with torch.no_grad():
            for table in field.content.tables():
                table.mul_(2.0)

    @pytest.mark.parametrize("fused", [True, False])
    def test_a_step_of_an_optimizer_is_noticed_whether_it_counts_as_a_write_or_not(self, fused: bool):
        planes = FeaturePlanes((16,), 4)
        optimizer = torch.optim.Adam(planes.parameters(), lr=0.5, fused=fused)
        positions = torch.rand(20, 3) - 0.5
        for _ in range(2):
            with torch.inference_mode():
                fast = planes(positions)
            with torch.no_grad():
                slow = planes(positions)
            torch.testing.assert_close(fast, slow)
            planes(positions).sum().backward()
            optimizer.step()

    @pytest.mark.parametrize(
        "settings", [HashSettings(), FrequencySettings(8, 8), GridSettings(num_proposal_samples=(8, 8))]
    )
    def test_other_kinds_take_the_slow_way(self, settings: HashSettings):
        assert not StillField.suits(settings.setup())
