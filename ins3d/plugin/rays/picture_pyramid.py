"""The training pictures reduced by whole numbers, with the rays of their wider pixels."""

from dataclasses import dataclass

from nerfstudio.cameras.cameras import Cameras

from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.plugin.rays.pixel_rays import PixelRays
from ins3d.plugin.rays.scene_pictures import reduced_cameras


@dataclass(frozen=True)
class PictureLevel:
    """Pictures of one size."""

    store: PictureStore
    rays: PixelRays


class PicturePyramid:
    """Levels by stride, each made when it is first asked for."""

    def __init__(self, store: PictureStore, rays: PixelRays) -> None:
        """Of the pictures at stride 1, and their cameras."""
        self._levels = {1: PictureLevel(store, rays)}

    def __getitem__(self, stride: int) -> PictureLevel:
        """Pictures of which each pixel is the mean of `stride` x `stride`."""
        if stride not in self._levels:
            full = self._levels[1]
            cameras: Cameras = reduced_cameras(full.rays.cameras, 1 / stride)
            self._levels[stride] = PictureLevel(full.store.reduced(stride), PixelRays(cameras))
        return self._levels[stride]
