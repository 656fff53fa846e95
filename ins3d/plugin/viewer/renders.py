"""Which pictures a page gets: coarse ones while something moves, finer and finer ones when nothing does."""

import threading
import time
from typing import TYPE_CHECKING

from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.render_state_machine import RenderStateMachine
from viser import ClientHandle

from ins3d.plugin.rays.chunks import GivenUp, given_up_when

if TYPE_CHECKING:
    from ins3d.plugin.viewer.page import ScenePage

RUNGS = (128, 256, 512)
"""Long sides, in pixels, of the pictures between the first and the full one."""
WORTH_IT = 4 / 3
"""A finer picture has so many times the last one's pixels on a side, at least."""
SMALLEST = 96
WHILE_MOVING = 1 / 8
"""Seconds: what may be drawn in these is drawn while something moves, but never less than `SMALLEST`."""
GUESS = 1e-5
"""Seconds a pixel, before any was drawn."""
STILL_AFTER = 0.1
"""Seconds without a move after which finer pictures are begun."""


def rungs(first: int, full: int) -> list[int]:
    """Long sides of the pictures that follow a move, the first of them included.

    >>> rungs(120, 1024), rungs(96, 512), rungs(400, 256)
    ([120, 256, 512, 1024], [96, 128, 256, 512], [256])
    """
    found = [min(first, full)]
    for side in (*RUNGS, full):
        if found[-1] * WORTH_IT <= side <= full or found[-1] < side == full:
            found.append(side)
    return found


class Renders(RenderStateMachine):
    """The thread that draws for one page. A picture that is shown while something moves is finished; finer ones are dropped.

    The host's has three sizes (a thirtieth of a second's worth, the same, full), and shows nothing between.
    """

    def __init__(self, viewer: "ScenePage", scale: float, client: ClientHandle) -> None:
        super().__init__(viewer, scale, client)
        self.seconds = self.ended = 0.0
        """What the last full picture took, and when (`time.monotonic`) it was shown."""
        self._moved, self._drawing, self._side = False, False, SMALLEST
        self._seconds_a_pixel = GUESS

    # ---- called by others

    def move(self) -> None:
        """The camera or the scene has changed: what is being drawn is not wanted any more."""
        self._moved = True
        self.render_trigger.set()

    def renew(self) -> None:
        """Draws the full picture again: the scene has learned."""
        self.render_trigger.set()

    @property
    def busy(self) -> bool:
        """Whether the page waits for a picture."""
        return self.running and self.is_alive() and (self._drawing or self.render_trigger.is_set())

    def is_due(self, rest: float) -> bool:
        """Whether so many times as long has gone by since the last full picture as it took."""
        return time.monotonic() - self.ended >= rest * self.seconds

    # ---- the thread

    def run(self) -> None:
        """Until the page is closed."""
        while self.running:
            if not self.viewer.ready:
                time.sleep(0.05)
            elif self.render_trigger.wait(0.2):
                # By a thread that ends: one that has drawn keeps OpenMP's threads, and with more of those than there are
                # cores the training's sleep at every barrier instead of spinning; steps took a quarter longer.
                self._drawing = True
                drawing = threading.Thread(target=self._draw_or_say)
                drawing.start()
                drawing.join()
                self._drawing = False

    def _draw_or_say(self) -> None:
        try:
            self._draw()
        except GivenUp:
            pass
        except Exception:  # of one picture: the page must not stay as it is for good
            CONSOLE.print_exception()

    def _draw(self) -> None:
        """All pictures that follow a move; where nothing has moved, the full one alone."""
        self.render_trigger.clear()
        if self.viewer.shows_splats:
            return
        moved, self._moved = self._moved, False
        coarsest, *finer = rungs(self._first_side(), self.viewer.control_panel.max_res)
        if moved or not finer:
            took = self._show(coarsest)
            self._seconds_a_pixel = (self._seconds_a_pixel + took / self._pixels(coarsest)) / 2
            if self.render_trigger.wait(STILL_AFTER):
                return
        with given_up_when(self.render_trigger.is_set):
            for side in finer if moved else finer[-1:]:
                took = self._show(side)
        self.seconds, self.ended = took, time.monotonic()

    def _show(self, side: int) -> float:
        """Draws a picture and sends it; the seconds that it took."""
        began, self._side = time.monotonic(), side
        self._send_output_to_viewer(self._render_img(self.viewer.get_camera_state(self.client)))
        return time.monotonic() - began

    # ---- sizes

    def _first_side(self) -> int:
        """What is drawn in the time that there is while something moves."""
        pixels = WHILE_MOVING / self._seconds_a_pixel
        return max(SMALLEST, int(SMALLEST * (pixels / self._pixels(SMALLEST)) ** 0.5))

    def _pixels(self, side: int) -> float:
        aspect = self.client.camera.aspect
        return side**2 / max(aspect, 1 / aspect)

    def _calculate_image_res(self, aspect_ratio: float) -> tuple[int, int]:
        """(height, width)."""
        side = self._side
        return max(1, int(side / max(aspect_ratio, 1))), max(1, int(side * min(aspect_ratio, 1)))

    def check_interrupt(self, frame: object, event: object, arg: object) -> None:  # type: ignore[override]
        """The host traces every line that runs, to stop in the middle of one; here chunks are asked."""
