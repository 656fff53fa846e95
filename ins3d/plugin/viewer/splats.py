"""Splats in the place of pictures: the browser draws them, at its own speed."""

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

BLANK = np.full((8, 8, 3), 255, np.uint8)


class SplatArrays(NamedTuple):
    """What viser is told of splats, in the host's coordinates."""

    means: Float[np.ndarray, "splats 3"]
    covariances: Float[np.ndarray, "splats 3 3"]
    rgb: Float[np.ndarray, "splats 3"]
    """In [0, 1]."""
    opacities: Float[np.ndarray, "splats 1"]


class SplatLayer:
    """Those of one scene on all pages of a server, or hidden."""

    def __init__(self, server: Any, painted: Callable[[Float[Tensor, " styles"]], SplatArrays], scale: float) -> None:
        """`painted`: under a style code; `scale`: of the page's coordinates beside the host's."""
        self.server, self.painted, self.scale = server, painted, scale
        self.shown, self._handle, self._number, self._one_at_a_time = False, None, 0, Lock()

    def show(self, code: Float[Tensor, " styles"]) -> None:
        """Under a style code; what was drawn before goes.

        Under a name of its own each time: the page (viser 0.2.7) keeps the colours of a name that it knows.
        """
        splats = self.painted(code)
        with self._one_at_a_time:
            before, self._number, self.shown = self._handle, self._number + 1, True
            self._handle = self.server.scene._add_gaussian_splats(
                f"/splats_{self._number}", self.scale * splats.means, self.scale**2 * splats.covariances, splats.rgb,
                splats.opacities,
            )  # fmt: skip
            if before is not None:
                before.remove()
            for client in self.server.get_clients().values():
                client.scene.set_background_image(BLANK)

    def hide(self) -> None:
        """Pictures are drawn again."""
        with self._one_at_a_time:
            self.shown = False
            if self._handle is not None:
                self._handle.remove()
            self._handle = None
