"""Resolves an encoder's name to a weights file, and loads it; the source is recorded with a run."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ins3d.files.weights import WeightsFile, download, read_weights, weights_at_hand
from ins3d.perception.features import PerceptualFeatures, Pooling, network_of

Encoder = Literal["auto", "vgg16", "vgg19", "vgg19-normalised", "compact"]
OFFICIAL_FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}
SETTING = "perceptual-weights"
WEIGHTS_VARIABLE = "INS3D_PERCEPTUAL_WEIGHTS"
COMPACT_FILE = Path(__file__).with_name("compact_encoder.safetensors")


def find_weights(setting: Path | None, encoder: Encoder, device: torch.device) -> WeightsFile:
    """A path given, then INS3D_PERCEPTUAL_WEIGHTS, torch's cache, torchvision's download, the compact encoder.

    `auto` takes whatever a file that is named holds, and downloads nothing on a CPU, where the compact encoder is several
    times faster; on a GPU it falls back to the compact encoder when the download fails. An encoder asked for by name is
    never replaced by another.
    """
    at_hand = encoder_at_hand(setting, encoder, device)
    if at_hand is not None:
        return at_hand
    official = OFFICIAL_FILES["vgg19" if encoder == "auto" else encoder]
    remedy = f"give its path with {SETTING} or {WEIGHTS_VARIABLE}, or use the compact encoder, which ships with ins3d"
    try:
        return download(official, "perceptual-encoder", remedy)
    except FileNotFoundError:
        if encoder != "auto":
            raise
        return WeightsFile(COMPACT_FILE, f"the package; {official} could not be downloaded")


def encoder_at_hand(setting: Path | None, encoder: Encoder, device: torch.device) -> WeightsFile | None:
    """What `find_weights` takes without a download; None where it would try one."""
    if setting is None and encoder == "compact":
        return WeightsFile(COMPACT_FILE, "the package")
    official = OFFICIAL_FILES.get("vgg19" if encoder == "auto" else encoder)
    at_hand = weights_at_hand(setting, SETTING, WEIGHTS_VARIABLE, official)
    if at_hand is not None:
        return at_hand
    if official is None:
        raise FileNotFoundError(
            f"perceptual-encoder: vgg19-normalised has no official download; give its file with {SETTING} or "
            f"{WEIGHTS_VARIABLE}, or use vgg19 or compact."
        )
    if encoder == "auto" and device.type == "cpu":
        return WeightsFile(COMPACT_FILE, "the package; no VGG weights are at hand, and on a CPU it is the faster choice")
    return None


def load_weights(file: WeightsFile) -> dict[str, Tensor]:
    """The features.* of a .pth or .safetensors file of VGG weights with torchvision's names. ValueError for any other."""
    items = read_weights(file, SETTING, "fetch it again.").items()
    state = {key: value for key, value in items if key.startswith("features.")}
    if "features.0.weight" not in state:
        raise ValueError(f"{file.path} holds no VGG weights: expected torchvision's names, features.0.weight and so on.")
    return _dequantised(state)


def _dequantised(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Dequantises 8-bit kernels: `weight_q8`, with scale and minimum in `weight_scale_min`."""
    result = {key: value for key, value in state.items() if not key.endswith(("_q8", "_scale_min"))}
    for key in state:
        if key.endswith("weight_q8"):
            scale, smallest = state[key.replace("_q8", "_scale_min")]
            result[key.removesuffix("_q8")] = state[key].float() * scale + smallest
    return result


def _refuse_another(encoder: Encoder, state: dict[str, Tensor], file: WeightsFile) -> None:
    found = network_of(state) + ("-normalised" if "features.pre.weight" in state else "")
    if encoder not in ("auto", found):
        raise ValueError(
            f"perceptual-encoder: {encoder} was asked for, and {file.path} (from {file.found_in}) holds {found}; name a "
            f"file of {encoder}, or use perceptual-encoder auto."
        )


def load_encoder(
    setting: Path | None,
    encoder: Encoder,
    layers: tuple[str, ...],
    device: torch.device,
    pooling: Pooling | None = "max",
) -> PerceptualFeatures:
    """Finds, reads and builds, in the precision that is fast on `device`; `source` is the line to print and record.

    Pooling None is what Gatys et al. would take: averages; maxima for the compact encoder, which was distilled with them.
    """
    file = find_weights(setting, encoder, device)
    state = load_weights(file)
    _refuse_another(encoder, state, file)
    pooling = pooling or ("max" if network_of(state) == "compact" else "average")
    kind = network_of(state) + (" (filter-normalised)" if "features.pre.weight" in state else "")
    averaged = ", average pooling" if pooling == "average" else ""
    source = f"{kind}{averaged} from {file.path.name}, found in {file.found_in}"
    return PerceptualFeatures(state, layers, source, pooling).use_fast_precision(device)
