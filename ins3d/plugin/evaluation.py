"""A rendered held-out view and its photograph become the numbers and pictures of `ns-eval`."""

from typing import cast

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ins3d.style.objective import StyleObjective


def image_metrics_and_images(
    outputs: dict[str, Tensor],
    photograph: Tensor,
    objective: StyleObjective | None,
    weights: tuple[float, ...],
    bounded: bool,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Content against the photograph; with an objective, style against its picture and depth against the content's.

    Of a mix of styles the distances to each are averaged by the mix's `weights`.
    """
    content, rgb = (_picture(outputs[name].clamp(0, 1)) for name in ("content_rgb", "rgb"))
    truth = _picture(photograph)
    metrics = {
        "psnr": float(peak_signal_noise_ratio(content, truth, data_range=1.0)),
        "ssim": float(cast(Tensor, structural_similarity_index_measure(content, truth, data_range=1.0))),
    }
    if objective is not None:
        # Every ns-* command imports this file; kornia, which these filters come from, takes a second.
        from ins3d.evaluation.statistics import blur_numbers

        # What shows through behind an object cannot be painted, and does not count.
        mask = _picture(outputs["accumulation"]) if bounded else None
        metrics |= style_metrics(objective, weights, content, rgb, mask)
        metrics |= blur_numbers(rgb[0], truth[0], content[0], None if mask is None else mask[0].clamp(0, 1))
        metrics |= depth_drift(outputs["depth"], outputs["content_depth"], outputs["accumulation"])
    depth = outputs["depth"]
    gray = ((depth - depth.min()) / (depth.max() - depth.min()).clamp(min=1e-6)).expand(-1, -1, 3)
    images = {"img": torch.cat([photograph, outputs["content_rgb"], outputs["rgb"]], dim=1), "depth": gray}
    return metrics, images


def style_metrics(
    objective: StyleObjective, weights: tuple[float, ...], content: Tensor, rgb: Tensor, mask: Tensor | None
) -> dict[str, float]:
    """Relative Gram distance to the styles before and after, and what is left of it."""
    shares = {style: weight / sum(weights) for style, weight in enumerate(weights) if weight > 0}
    distance, before = (
        sum(share * float(objective.gram_distance(picture, style, mask)) for style, share in shares.items())
        for picture in (rgb, content)
    )
    return {"gram_distance": distance, "content_gram_distance": before, "gram_ratio": distance / before}


def depth_drift(depth: Tensor, content_depth: Tensor, accumulation: Tensor) -> dict[str, float]:
    """Relative change of depth where there is something to see: median and 95th percentile."""
    seen = accumulation > 0.5
    drift = ((depth - content_depth).abs() / content_depth.clamp(min=1e-6))[seen]
    if drift.numel() == 0:
        return {"depth_drift_median": 0.0, "depth_drift_p95": 0.0}
    # numpy's percentile, because torch.quantile refuses more than 16.7 million values.
    p95 = np.percentile(drift.cpu().numpy(), 95)
    return {"depth_drift_median": float(drift.median()), "depth_drift_p95": float(p95)}


def _picture(image: Tensor) -> Tensor:
    return image.permute(2, 0, 1)[None]
