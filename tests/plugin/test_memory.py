"""What does not fit is refused before it is made."""

from pathlib import Path

import pytest
import torch

from ins3d.plugin.hash_content import HashSettings
from ins3d.plugin.memory import free_memory, refuse_large_networks
from ins3d.plugin.model import InsStylizeModelConfig
from ins3d.plugin.ray_content import PlanesSettings
from ins3d.plugin.sample_pool import _empty
from ins3d.plugin.style_field import HashStyle

CPU = torch.device("cpu")
LARGE = 200_000
"""Cells along a side: a plane of them takes terabytes."""


class TestNetworks:
    @pytest.mark.parametrize("content", [PlanesSettings(), HashSettings()])
    def test_that_fit_are_not_refused_and_draw_nothing(self, content: PlanesSettings | HashSettings):
        before = torch.get_rng_state()
        refuse_large_networks(InsStylizeModelConfig(content=content), CPU)
        assert torch.equal(torch.get_rng_state(), before)

    def test_of_a_content_that_do_not_fit_are_refused_by_name(self):
        settings = InsStylizeModelConfig(content=PlanesSettings(resolutions=(64, LARGE), channels=1))
        with pytest.raises(
            ValueError, match=r"pipeline\.model\.content: 120,000 million numbers .* 1788\.\d GB, and .* GB are free"
        ):
            refuse_large_networks(settings, CPU)

    def test_of_styles_count_for_each_of_them(self):
        field = HashStyle(resolutions=(64,), channels=256, log2_size=22)
        styles = tuple(f"{number}=painting.jpg" for number in range(32))
        with pytest.raises(ValueError, match=r"pipeline\.model\.style-field: 34,3\d\d million numbers"):
            refuse_large_networks(InsStylizeModelConfig(style_field=field, styles=styles), CPU)


class TestKeptSamples:
    def test_that_do_not_fit_on_a_gpu_are_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setattr("ins3d.plugin.sample_pool.free_memory", lambda device: 1000)
        with pytest.raises(
            ValueError, match=r"patches\.max-rays: keeping 500 samples takes more than the 0\.0 GB .* on meta; lower"
        ):
            _empty(500, torch.zeros(1, 3, device="meta"), tmp_path / "kept")
        assert _empty(50, torch.zeros(1, 3, device="meta"), tmp_path / "kept").shape == (50, 3)


def test_free_memory_is_that_of_the_machine():
    assert 2**26 < free_memory(CPU) < 2**46
