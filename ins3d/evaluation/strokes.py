"""Brushwork measures against a painting: relaxed earth mover's distance, stroke coherence, radial spectrum.

Gram distance alone prefers flecks to strokes (docs/evaluation.md). None of these is meant to be differentiated.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from skimage.feature import structure_tensor, structure_tensor_eigenvalues
from torch import Tensor

from ins3d.evaluation.statistics import luminance
from ins3d.perception.features import FeatureMaps, PerceptualFeatures
from ins3d.perception.losses import hypercolumns, relaxed_earth_movers_loss

HYPERCOLUMN_LAYERS = ("relu2_1", "relu3_1", "relu4_1")
NUM_COLUMNS = 1500
"""Places of each picture that are compared; the same ones every time."""
QUANTILES = np.linspace(0.05, 0.95, 19)
NUM_RINGS = 24
"""Frequencies at which spectra are compared, from 2 periods a side to the finest."""


def relaxed_earth_movers_distance(
    features: Float[Tensor, "points channels"], targets: Float[Tensor, "others channels"]
) -> float:
    """The larger of the two mean cosine distances to the nearest of the other set: 0 for the same sets, at most 2.

    STROTSS, Kolkin et al. 2019, eq. 2-4. From the targets to the picture it says which parts of the painting are not used.

    >>> relaxed_earth_movers_distance(torch.eye(2), torch.tensor([[1.0, 0.0]]))
    0.5
    """
    return float(relaxed_earth_movers_loss(features, targets))


class StrokeJudge:
    """Compares pictures with one painting, whose own numbers are computed once."""

    def __init__(self, features: PerceptualFeatures, painting: Float[Tensor, "3 _ _"]) -> None:
        self.features, self.painting = features, painting
        maps = self._maps(painting)
        self.scales = {layer: values.square().mean().sqrt() for layer, values in maps.items()}
        self.columns = self._columns(maps)
        self.coherence, self.spectrum = stroke_coherence(painting), radial_spectrum(painting)

    def measure(self, picture: Float[Tensor, "3 _ _"], maps: FeatureMaps | None = None) -> dict[str, float]:
        """{remd, coherence, spectrum}: 0 is as the painting; the picture should be as large as the painting is looked at.

        Its `maps`, if they are known already, are not computed again.
        """
        columns = self._columns(self._maps(picture) if maps is None else maps)
        return {
            "remd": relaxed_earth_movers_distance(columns, self.columns),
            "coherence": float(np.abs(stroke_coherence(picture) - self.coherence).mean()),
            "spectrum": float(np.abs(radial_spectrum(picture) - self.spectrum).mean()),
        }

    @torch.no_grad()
    def _maps(self, picture: Tensor) -> FeatureMaps:
        return {layer: values.float() for layer, values in self.features(picture[None], HYPERCOLUMN_LAYERS).items()}

    def _columns(self, maps: FeatureMaps) -> Float[Tensor, "points channels"]:
        """Hypercolumns: the features of all layers at one place, each layer in units of the painting's root mean square."""
        places = 2 * torch.rand(NUM_COLUMNS, 2, generator=torch.Generator().manual_seed(0)) - 1
        places = places.to(maps[HYPERCOLUMN_LAYERS[0]])
        return hypercolumns({layer: maps[layer] / self.scales[layer] for layer in HYPERCOLUMN_LAYERS}, places)


def stroke_coherence(picture: Float[Tensor, "3 _ _"]) -> Float[np.ndarray, " quantiles"]:
    """Quantiles of how much one direction prevails around each pixel: 0 flecks and flat noise, 1 parallel strokes.

    Eigenvalues of the structure tensor (gradients of a blur of 1 pixel, window of 3): their difference by their sum;
    pixels count by the energy of their gradients.
    """
    bright = gaussian_filter(luminance(picture)[0, 0].cpu().numpy(), 1.0)
    large, small = structure_tensor_eigenvalues(structure_tensor(bright, sigma=3, mode="reflect"))
    energy = (large + small).ravel()
    found = ((large - small) / np.maximum(large + small, 1e-12)).ravel()
    order = np.argsort(found)
    share = np.cumsum(energy[order])
    return np.interp(QUANTILES, share / max(share[-1], 1e-12), found[order])


def radial_spectrum(picture: Float[Tensor, "3 _ _"]) -> Float[np.ndarray, " rings"]:
    """Natural logarithm of the luminance's power by frequency, averaged over directions; a Hann window hides the border."""
    bright = luminance(picture)[0, 0].cpu().numpy()
    height, width = bright.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.fft2((bright - bright.mean()) * window)) ** 2 / (window**2).sum()
    rows, columns = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    frequency = np.hypot(rows, columns)
    edges = np.geomspace(2 / min(height, width), 0.5, NUM_RINGS + 1)
    ring = np.digitize(frequency, edges) - 1
    found = np.array([power[ring == each].mean() if (ring == each).any() else np.nan for each in range(NUM_RINGS)])
    known = ~np.isnan(found)
    return np.log(np.interp(np.arange(NUM_RINGS), np.flatnonzero(known), found[known]) + 1e-9)
