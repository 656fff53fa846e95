"""What the viewer shows of splats that were exported: those of this state of the run alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ins3d.plugin.field_splats import KEPT, fingerprint, kept_splats
from ins3d.plugin.viewer.splats import SplatLayer
from ins3d.splats.making import PaintableSplats
from tests.splats.clouds import some_splats


def saved(model: Any, folder: Path) -> PaintableSplats:
    splats = some_splats(30)
    made = PaintableSplats(splats, torch.full((1, 30, 3), 0.1))
    made.save(folder / KEPT, {"network": fingerprint(model), "size": None})
    return made


class TestKeptSplats:
    def test_there_are_none_before_an_export(self, trained_pipeline: Callable[..., Any], tmp_path: Path):
        pipeline = trained_pipeline()
        assert kept_splats(pipeline.model, tmp_path) is None
        assert pipeline.kept_splats() is None

    def test_they_are_painted_by_style_code(self, trained_pipeline: Callable[..., Any], tmp_path: Path):
        model = trained_pipeline().model
        made = saved(model, tmp_path)
        painted = kept_splats(model, tmp_path)
        assert painted is not None
        content, style = painted(torch.zeros(1)), painted(torch.ones(1))
        assert torch.allclose(torch.from_numpy(content.rgb), made.splats.rgb, atol=1e-6)
        assert abs(style.rgb - content.rgb).max() > 0.01
        assert content.covariances.shape == (30, 3, 3) and content.opacities.shape == (30, 1)

    def test_those_of_another_state_are_not_its_own(self, trained_pipeline: Callable[..., Any], tmp_path: Path):
        model = trained_pipeline().model
        saved(model, tmp_path)
        with torch.no_grad():
            next(model.stylized.parameters()).add_(0.1)
        assert kept_splats(model, tmp_path) is None


class _Scene:
    """What a layer asks of viser's server."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def _add_gaussian_splats(self, name: str, means: Any, covariances: Any, rgb: Any, opacities: Any) -> Any:
        self.names.append(name)
        self.last = (means, covariances)
        names = self.names

        class Handle:
            def remove(self) -> None:
                names.remove(name)

        return Handle()


class TestLayer:
    def test_one_layer_is_there_at_a_time_in_the_pages_scale(self, trained_pipeline: Callable[..., Any], tmp_path: Path):
        model = trained_pipeline().model
        made = saved(model, tmp_path)
        painted = kept_splats(model, tmp_path)
        assert painted is not None
        server = type("Server", (), {"scene": _Scene(), "get_clients": lambda self: {}})()
        layer = SplatLayer(server, painted, 10.0)
        layer.show(torch.ones(1))
        layer.show(torch.zeros(1))
        assert layer.shown and len(server.scene.names) == 1
        assert torch.allclose(torch.from_numpy(server.scene.last[0]), 10 * made.splats.means, atol=1e-5)
        layer.hide()
        assert not layer.shown and server.scene.names == []
