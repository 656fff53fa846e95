"""Where the page opens: at a camera that stands among the others, looking at what they look at."""

from dataclasses import dataclass

import numpy as np
import torch
import viser.transforms as vtf
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor
from viser import ClientHandle


def most_central(cameras: Cameras) -> int:
    """Number of the camera whose place and direction are nearest to all others', in the mean; upright ones before others.

    Of cameras all around an object it would else be the one that looks down from above.
    """
    _, up, back, places = cameras.camera_to_worlds.unbind(-1)
    apart = torch.cdist(places, places)
    far = apart / apart.mean().clamp(min=1e-9) + torch.cdist(back, back)
    return int((far.mean(1) - up[:, 2]).argmin())


@dataclass(frozen=True)
class FirstView:
    """A camera as a page takes it; lengths in scene units, axes as OpenCV has them."""

    rotation: Float[Tensor, "3 3"]
    position: Float[Tensor, "3"]
    distance: float
    """To the point that the page turns about."""
    half_extents: tuple[float, float]
    """(across, down) of the photograph, at distance 1."""

    @classmethod
    def of(cls, cameras: Cameras, center: Float[Tensor, "3"]) -> "FirstView":
        """Of the most central camera; it turns about the point of its axis that is nearest to `center`."""
        camera = cameras[most_central(cameras)].to("cpu")
        pose, position = camera.camera_to_worlds[:, :3], camera.camera_to_worlds[:, 3]
        straight = float((center.to(position) - position) @ -pose[:, 2])
        distance = straight if straight > 0 else float(torch.linalg.norm(center.to(position) - position))
        across, down = (float(side / 2 / focal) for side, focal in ((camera.width, camera.fx), (camera.height, camera.fy)))
        return cls(pose * torch.tensor([1.0, -1.0, -1.0]), position, distance, (across, down))

    def field_of_view(self, aspect: float) -> float:
        """Vertical, in radians, on a page that is `aspect` times as wide as high.

        All of the photograph is seen, unless that would show more than as much again beside it.
        """
        across, down = self.half_extents
        least, most = sorted((down, across / aspect))
        return float(2 * np.arctan(min(most, 2 * least)))

    def show(self, client: ClientHandle, scale: float) -> None:
        """Puts a page's camera there; one of its units is 1 / `scale` scene units."""
        camera, ahead = client.camera, self.rotation[:, 2]
        with client.atomic():
            camera.position = scale * self.position.double().numpy()
            camera.wxyz = vtf.SO3.from_matrix(self.rotation.double().numpy()).wxyz
            camera.look_at = scale * (self.position + self.distance * ahead).double().numpy()
            camera.fov = self.field_of_view(camera.aspect)
