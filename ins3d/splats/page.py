"""A page on which the browser draws splats, with sliders for the styles (viser)."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import viser
import viser.transforms as transforms

from ins3d.extension.ranges import check_ranges
from ins3d.runs.record import say
from ins3d.splats.gaussians import Gaussians, covariances
from ins3d.splats.settings import ViewSplats
from ins3d.splats.showing import ShownSplats
from ins3d.splats.views import View
from ins3d.style.mix import Mix


class SplatPage:
    """A server of one scene of splats. Sliders recolour it for everybody who has the page open."""

    def __init__(self, shown: ShownSplats, mix: Mix, port: int) -> None:
        self.shown = shown
        self.server = viser.ViserServer(port=port, verbose=False)
        self.server.scene.set_up_direction(_upwards(shown))
        self._handle: Any = None
        self._number, self._one_at_a_time = 0, threading.Lock()
        self.sliders: list[Any] = []
        self.strength: Any = None
        if shown.names:
            self._add_sliders(mix)
        splats = shown.painted(mix.code())
        self._show(splats)
        self.server.on_client_connect(self._begin)

    def _add_sliders(self, mix: Mix) -> None:
        gui = self.server.gui
        self.strength = gui.add_slider("Strength", 0.0, 1.0, 0.01, mix.strength)
        if len(self.shown.names) > 1:
            most = max(mix.weights)
            for name, weight in zip(self.shown.names, mix.weights, strict=True):
                self.sliders.append(gui.add_slider(name.replace("_", " "), 0.0, 1.0, 0.01, weight / most))
        self.told = gui.add_markdown("")
        for slider in (self.strength, *self.sliders):
            slider.on_update(self._recolor)

    def _recolor(self, _: Any) -> None:
        began = time.perf_counter()
        weights = tuple(float(slider.value) for slider in self.sliders) or (1.0,)
        mix = Mix(weights, float(self.strength.value) if sum(weights) else 0.0)
        code = mix.code() if sum(weights) else torch.zeros(len(weights))
        self._show(self.shown.painted(code))
        self.told.content = f"{time.perf_counter() - began:.2f} s"

    def _show(self, splats: Gaussians) -> None:
        """Under a name of its own each time: the page (viser 0.2.7) keeps the colours of a name that it knows."""
        rgb, opacities = splats.rgb.clamp(0, 1).numpy(), splats.opacities[:, None].numpy()
        with self._one_at_a_time:
            before, self._number = self._handle, self._number + 1
            name = f"/splats_{self._number}"
            self._handle = self.server.scene._add_gaussian_splats(
                name, splats.means.numpy(), covariances(splats).numpy(), rgb, opacities
            )
            if before is not None:
                before.remove()

    def _begin(self, client: viser.ClientHandle) -> None:
        """A page opens at one of the cameras."""
        view = most_central(self.shown.views)
        axes = view.axes()  # viser's cameras look along +z, y is down
        client.camera.wxyz = transforms.SO3.from_matrix(axes.T.double().numpy()).wxyz
        client.camera.position = view.center.double().numpy()
        client.camera.fov = 2 * float(np.arctan(view.height / 2 / view.fy))


def most_central(views: list[View]) -> View:
    """The one from which the others are nearest, by place and by viewing axis."""
    places = torch.stack([view.center for view in views])
    axes = torch.stack([view.camera_to_world[:, 2] for view in views])
    apart = torch.cdist(places, places)
    apart = apart / apart.median().clamp(min=1e-9) + torch.cdist(axes, axes)
    return views[int(apart.sum(1).argmin())]


def _upwards(shown: ShownSplats) -> tuple[float, float, float]:
    """What the cameras have above them, in the mean."""
    up = torch.nn.functional.normalize(torch.stack([view.camera_to_world[:, 1] for view in shown.views]).mean(0), dim=0)
    return float(up[0]), float(up[1]), float(up[2])


def view_shown(settings: ViewSplats, open_shown: Callable[[], ShownSplats]) -> None:
    """Serves the page until Ctrl-C."""
    check_ranges(settings)
    shown = open_shown()
    page = SplatPage(shown, shown.mix_of(settings), settings.port)
    say(f"splats: http://localhost:{page.server.get_port()}; Ctrl-C ends it.")
    while True:
        time.sleep(3600)
