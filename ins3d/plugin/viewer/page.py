"""The host's viewer for a scene that is painted: what it opens with, what stands in its panel, when it draws."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO, Viewer
from nerfstudio.viewer.viewer_elements import ViewerElement
from viser import ClientHandle

from ins3d.plugin.viewer.controls import StyleControls
from ins3d.plugin.viewer.first_view import FirstView
from ins3d.plugin.viewer.renders import Renders
from ins3d.plugin.viewer.splats import SplatLayer
from ins3d.plugin.viewer.thumbnails import strips

FULL_SIDES = (512, 1024)
"""Pixels of the long side of full pictures, at most: while a scene is learned, and when it is finished."""
TRAINING = 0.9
"""Share of the time that is not for the pictures of pages on which nobody moves."""
SAY_EVERY = 0.5
"""Seconds."""
FIRST_IN_PANEL = -2.0
"""Of panels the host numbers its own from 1 on."""


class ScenePage(Viewer):
    """As the host's, but for the first view, the sizes of pictures (`Renders`), and the style panel, which comes first.

    Training waits while a page that was moved catches up; otherwise pages get what is left by the panel's "Train Util".
    """

    render_statemachines: dict[int, Renders]  # type: ignore[assignment]

    def __init__(
        self, config: Any, log_filename: Any, datapath: Any, pipeline: Any, trainer: Any = None, **kwargs: Any
    ) -> None:
        self._doing, self._size, self._said = "", "none yet", 0.0
        cameras, placement = pipeline.datamanager.train_dataset.cameras, pipeline.model.ray_content.placement
        self.first_view = FirstView.of(cameras, placement.center.cpu())
        self.splats: SplatLayer | None = None
        super().__init__(config, log_filename, datapath, pipeline, trainer, **kwargs)
        painted = pipeline.kept_splats() if trainer is None else None
        if painted is not None:
            self.splats = SplatLayer(self.viser_server, painted, VISER_NERFSTUDIO_SCALE_RATIO)
        self._controls: StyleControls = pipeline.style
        self._learned_side: int = pipeline.model.picture_side
        self._code = self._controls.code()
        self.bar = self.viser_server.gui.add_progress_bar(0.0, visible=trainer is not None, order=FIRST_IN_PANEL)
        with self.viser_server.gui.add_folder("Style", order=FIRST_IN_PANEL + 1):
            self._add_style_panel(pipeline.config.model.styles)
        self.control_panel.update_control_panel()  # the host shows settings that do not apply until one is changed
        if trainer is None:
            self._show_as_finished()
        else:
            self.control_panel._max_res.value = min(FULL_SIDES[0], self._learned_side)
            self.control_panel._train_util.value = TRAINING

    # ---- the panel

    def _add_style_panel(self, styles: Sequence[str]) -> None:
        controls, gui = self._controls, self.viser_server.gui
        pictures = strips(styles, controls.dial)
        for element in controls.of_all:
            self._add(element)
        sliders = dict(zip(pictures, controls.of_paintings, strict=False))
        for name, picture in pictures.items():
            if picture is not None:
                gui.add_markdown(picture, image_root=Path())
            if name in sliders:
                self._add(sliders[name])
            else:
                gui.add_markdown(name.replace("_", " "))
        for element in controls.of_the_mix:
            self._add(element)
        if self.splats is not None:
            switch = gui.add_checkbox("As splats", False, hint="Drawn by the browser; off: pictures of the field itself.")
            switch.on_update(lambda _: self._switch_splats(switch.value))

    def _switch_splats(self, on: bool) -> None:
        assert self.splats is not None
        if on:
            self.splats.show(self._code)
        else:
            self.splats.hide()
            self._trigger_rerender()

    def _add(self, element: ViewerElement) -> None:
        element.install(self.viser_server)
        element.cb_hook = partial(self._changed, element.cb_hook)

    def _changed(self, hook: Callable[[ViewerElement], Any], element: ViewerElement) -> None:
        """What a control's own hook does; then pictures begin anew where they are another's."""
        hook(element)
        before, self._code = self._code, self._controls.code()
        if not torch.equal(before, self._code):
            self._trigger_rerender()

    def make_stats_markdown(self, step: int | None, res: str | None) -> str:
        """What is being done, and how large the picture is. The host's says the number of the step alone."""
        self._size = res if res and res != "0x0px" else self._size
        return f"{self._doing}  \nPicture: {self._size}"

    def say(self, doing: str, share: float) -> None:
        """Writes into the panel what is being done, and which share of it is; in [0, 1]. A page reads twice a second."""
        another = doing.split()[0] != self._doing.split(" ")[0]
        if another or share == 1 or time.monotonic() - self._said > SAY_EVERY:
            self._doing, self._said, self.bar.value = doing, time.monotonic(), 100 * share
            self.stats_markdown.content = self.make_stats_markdown(None, None)

    def _show_as_finished(self) -> None:
        """Nothing can be paused, or made faster; pictures are larger than those that were learned from."""
        self.bar.visible = self.pause_train.visible = self.resume_train.visible = False
        for element in (self.control_panel._train_speed, self.control_panel._train_util):
            element.set_hidden(True)
        self.control_panel._max_res.value = min(FULL_SIDES[1], 2 * self._learned_side)

    # ---- the scene

    def init_scene(self, train_dataset: Any, train_state: Any, eval_dataset: Any = None) -> None:
        """The training cameras are hidden, and not made before they are asked for: that reads every photograph."""
        self.camera_handles, self.original_c2w = {}, {}
        self._make_cameras = partial(super().init_scene, train_dataset, train_state, eval_dataset)
        self.toggle_cameravis_button()

    def set_camera_visibility(self, visible: bool) -> None:
        """Of the training cameras."""
        if visible and not self.camera_handles:
            self._make_cameras()
        super().set_camera_visibility(visible)

    def handle_new_client(self, client: ClientHandle) -> None:
        """A page that was opened begins at the first view."""
        self.first_view.show(client, VISER_NERFSTUDIO_SCALE_RATIO)
        renders = self.render_statemachines[client.client_id] = Renders(self, VISER_NERFSTUDIO_SCALE_RATIO, client)
        client.camera.on_update(lambda _: renders.move())
        renders.move()
        renders.start()

    # ---- pictures

    @property
    def shows_splats(self) -> bool:
        """Whether the browser draws, and no picture is wanted."""
        return self.splats is not None and self.splats.shown

    def _trigger_rerender(self) -> None:
        if self.splats is not None and self.splats.shown:
            self.splats.show(self._code)
            return
        for renders in list(self.render_statemachines.values()):
            renders.move()

    def update_scene(self, step: int, num_rays_per_batch: int | None = None) -> None:
        """After a step of training: pages that were moved catch up; now and then the others see how far it is."""
        self.step = step
        if self.trainer is None:
            return
        pages = list(self.render_statemachines.values())
        for renders in pages:
            if renders.is_due(len(pages) * self.control_panel.train_util / max(1 - self.control_panel.train_util, 1e-9)):
                renders.renew()
        while any(renders.busy for renders in pages):
            time.sleep(0.005)

    def training_complete(self) -> None:
        """The last pictures are those of the finished scene."""
        super().training_complete()
        self._show_as_finished()
        self.say("finished", 1.0)
        self._trigger_rerender()
