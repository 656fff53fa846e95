"""A teacher's features and a student's become one step of distillation.

Four mistakes of the student are mended together, at every layer, in features divided by each channel's size:
what it sees (1x1 heads lift its features to the teacher's), the Gram matrices of that, and the distances: how far apart
the student finds two pictures, heads taken off, must be how far apart the teacher finds them, because that number is what
a picture is optimised by; and above all how far a picture that was optimised by it is from its style.

Training starts from the teacher cut down, layer by layer, to the channels that explain the others best (as in channel
pruning, He et al., ICCV 2017).
"""

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from compact_pictures import CONTENT_LAYER, OnPolicyPictures
from scipy.linalg import qr
from torch import Tensor, nn

from ins3d.perception.features import COMPACT_MARK, FeatureMaps, PerceptualFeatures, conv_layers
from ins3d.perception.losses import gram_matrix

WIDTHS = {"1": 16, "2": 32, "3": 96, "4": 192}
"""Channels of the student's blocks: multiples of 16, which vector units like; VGG-19 has 64, 128, 256, 512."""
LAYERS = tuple(conv_layers("compact"))
GRAM_WEIGHT, DISTANCE_WEIGHT = 0.5, 0.5
SAMPLES = 24_000
"""Positions that each layer of the cut-down teacher is fitted to."""

Sizes = dict[str, Tensor]


def reflecting(teacher: PerceptualFeatures) -> PerceptualFeatures:
    """The teacher with reflected borders, as the student has them: zeros are an edge all around a small picture."""
    for conv in teacher.convs.values():
        cast(nn.Conv2d, conv).padding_mode = "reflect"
    return teacher


def channel_sizes(teacher: PerceptualFeatures, pictures: Tensor) -> Sizes:
    """{layer: root mean square of each of the teacher's channels}; nearly dead ones get the layer's own."""
    sizes = {}
    with torch.no_grad():
        for layer, values in teacher(pictures).items():
            size = values.square().mean((0, 2, 3)).sqrt()
            sizes[layer] = torch.where(size > 0.05 * size.mean(), size, size.mean()).reshape(1, -1, 1, 1)
    return sizes


class Distillation(nn.Module):
    """Student, heads, and what trains them."""

    def __init__(self, teacher: PerceptualFeatures, sizes: Sizes, pictures: Tensor, rate: float, steps: int) -> None:
        super().__init__()
        self._teacher = [teacher]  # in a list, so that it is neither saved nor trained
        self.sizes = sizes
        self._style_grams: dict[str, Tensor] = {}
        state, heads = cut_down(teacher, sizes, pictures)
        self.student = PerceptualFeatures(state, LAYERS, "the student")
        self.student.convs.requires_grad_(True)
        self.heads = nn.ParameterDict({layer: nn.Parameter(head) for layer, head in heads.items()})
        self.optimizer = torch.optim.Adam(self.parameters(), lr=rate, betas=(0.9, 0.98))
        cosine = lambda step: min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1)))  # noqa: E731
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, cosine)

    def teacher(self, pictures: Tensor) -> FeatureMaps:
        """The teacher's features; divided by their sizes only where they are compared, which saves half the time."""
        with torch.no_grad():
            return self._teacher[0](pictures)

    def step(self, fresh: Tensor, policy: OnPolicyPictures) -> dict[str, float]:
        """Learns from fresh crops and from the on-policy pictures, and moves the latter; returns the mistakes."""
        pictures = policy.pictures()
        maps = self.student(torch.cat([pictures, fresh, policy.styles]))
        ours, maps, styles = (
            {layer: values[part] for layer, values in maps.items()}
            for part in (slice(policy.number), slice(-policy.number), slice(-policy.number, None))
        )
        with torch.no_grad():
            contents = self.student(policy.contents, (CONTENT_LAYER,))
        wrong = policy.loss(ours, contents, {layer: values.detach() for layer, values in styles.items()})
        (gradient,) = torch.autograd.grad(wrong, pictures, retain_graph=True)
        truths = self.teacher(torch.cat([pictures.detach(), fresh]))
        mistakes = self.mistakes(truths, maps)
        # Gradients reach the styles' features as well: else the student would only learn to see everything larger.
        mistakes["fooled"] = self._fooled(truths, ours, styles, policy)
        self.optimizer.zero_grad()
        _total(mistakes).backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        policy.move(gradient)
        return {name: float(value.detach()) for name, value in mistakes.items()}

    def mistakes(self, truths: FeatureMaps, maps: FeatureMaps) -> dict[str, Tensor]:
        """{features, grams, distances}: 0 for a perfect student, about 1 for one that knows nothing; means over layers."""
        found: dict[str, list[Tensor]] = {"features": [], "grams": [], "distances": []}
        for layer, values in truths.items():
            head, answer, size = self.heads[layer], maps[layer], self.sizes[layer]
            # A quarter of the positions is enough where they are many.
            some = (..., slice(None, None, 2), slice(None, None, 2)) if layer[4] in "12" else ...
            truth = values[some] / size
            lifted = F.conv2d(answer[some], head[:, :, None, None])
            found["features"].append(F.mse_loss(lifted, truth) / truth.square().mean())
            gram, own = self._gram(layer, values), gram_matrix(answer, norm="hw")
            found["grams"].append((_norm(head @ own @ head.T - gram) / _norm(gram)).mean())
            shifts = range(1, len(gram) // 2 + 1)
            wrong = [_distance_mistake(own, own.roll(shift, 0), gram, gram.roll(shift, 0)) for shift in shifts]
            found["distances"].append(torch.stack(wrong).mean())
        return {name: torch.stack(values).mean() for name, values in found.items()}

    def _fooled(self, truths: FeatureMaps, ours: FeatureMaps, styles: FeatureMaps, policy: OnPolicyPictures) -> Tensor:
        """How wrong the student is about the distance from the on-policy pictures to their styles."""
        if policy.age == 0 or not self._style_grams:
            self._style_grams = {layer: self._gram(layer, values) for layer, values in self.teacher(policy.styles).items()}
        wrong = []
        for layer, values in truths.items():
            own, wanted = gram_matrix(ours[layer], norm="hw"), gram_matrix(styles[layer], norm="hw")
            truth = self._gram(layer, values[: policy.number])
            wrong.append(_distance_mistake(own, wanted, truth, self._style_grams[layer]))
        return torch.stack(wrong).mean()

    def _gram(self, layer: str, values: Tensor) -> Tensor:
        """The teacher's Gram matrix, in features divided by their sizes."""
        size = self.sizes[layer][0, :, 0]
        return gram_matrix(values, norm="hw") / (size * size.T)

    def encoder_state(self) -> dict[str, Tensor]:
        """The student alone, under torchvision's names, in half precision, marked as compact."""
        state: dict[str, Tensor] = {COMPACT_MARK: torch.ones(1).half()}
        for layer, index in conv_layers("compact").items():
            conv = cast(nn.Conv2d, self.student.convs[layer])
            assert conv.bias is not None
            state[f"features.{index}.weight"] = conv.weight.detach().half().contiguous()
            state[f"features.{index}.bias"] = conv.bias.detach().half().contiguous()
        return state

    def progress(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"model": self.state_dict(), "optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}

    def go_on(self, progress: dict[str, Any]) -> None:
        """Continues where `progress` was taken."""
        self.load_state_dict(progress["model"])
        self.optimizer.load_state_dict(progress["optimizer"])
        self.schedule.load_state_dict(progress["schedule"])


def measure(distillation: Distillation, pictures: Tensor) -> dict[str, float]:
    """The mistakes on pictures that nothing was learned from."""
    with torch.no_grad():
        mistakes = distillation.mistakes(distillation.teacher(pictures), distillation.student(pictures))
    return {name: float(value) for name, value in mistakes.items()}


def _total(mistakes: dict[str, Tensor]) -> Tensor:
    distances = mistakes["distances"] + mistakes["fooled"]
    return mistakes["features"] + GRAM_WEIGHT * mistakes["grams"] + DISTANCE_WEIGHT * distances


def _distance_mistake(own: Tensor, own_others: Tensor, truth: Tensor, true_others: Tensor) -> Tensor:
    """How wrong the student's relative distances to other pictures are: the squared log of seen to true distances."""
    seen = _norm(own - own_others) / _norm(own_others)
    true = _norm(truth - true_others) / _norm(true_others)
    # Below a twentieth nobody sees a difference, and the logarithm would.
    return (((seen + 0.05) / (true + 0.05)).log() ** 2).mean()


def _norm(grams: Tensor) -> Tensor:
    return grams.square().sum((1, 2)).add(1e-12).sqrt()


# ---- where training starts


@torch.no_grad()
def cut_down(teacher: PerceptualFeatures, sizes: Sizes, pictures: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(the student's first weights, the heads that lift its features to the teacher's).

    In every layer pivoted QR picks the channels that explain the others; the layer's kernel is the least-squares answer to
    what these channels say before ReLU, given what the student has computed so far.
    """
    before_relu: dict[str, Tensor] = {}
    for name in LAYERS:
        teacher.convs[name].register_forward_hook(lambda _, __, out, name=name: before_relu.update({name: out.float()}))
    maps = teacher(pictures)
    for name in LAYERS:
        teacher.convs[name]._forward_hooks.clear()
    state: dict[str, Tensor] = {COMPACT_MARK: torch.ones(1)}
    heads, block = {}, "1"
    hidden = (pictures - teacher.mean.float()) / teacher.std.float()
    for layer, index in conv_layers("compact").items():
        if layer[4] != block:
            hidden, block = F.max_pool2d(hidden, 2), layer[4]
        chosen = _telling_channels(maps[layer] / sizes[layer], WIDTHS[block])
        target = (before_relu[layer] / sizes[layer])[:, chosen]
        kernel, bias = _fit_kernel(hidden, target)
        hidden = F.relu(F.conv2d(_bordered(hidden), kernel, bias))
        state[f"features.{index}.weight"], state[f"features.{index}.bias"] = kernel, bias
        heads[layer] = _solve(_positions(hidden), _positions(maps[layer] / sizes[layer])).T.contiguous()
    return state, heads


def _telling_channels(features: Tensor, number: int) -> Tensor:
    order = qr(_positions(features).numpy(), mode="economic", pivoting=True)[-1]
    return torch.from_numpy(order[:number].copy()).long()


def _fit_kernel(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    windows = F.unfold(_bordered(inputs), 3).reshape(len(inputs), -1, *inputs.shape[2:])
    ones = torch.ones_like(windows[:, :1])
    solution = _solve(_positions(torch.cat([windows, ones], dim=1)), _positions(targets))
    return solution[:-1].T.reshape(targets.shape[1], inputs.shape[1], 3, 3).contiguous(), solution[-1].clone()


def _bordered(features: Tensor) -> Tensor:
    return F.pad(features, (1, 1, 1, 1), mode="reflect")


def _solve(inputs: Tensor, targets: Tensor) -> Tensor:
    """Least squares, with a ridge too small to be seen."""
    square = inputs.T.double() @ inputs.double()
    ridge = 1e-5 * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    return torch.linalg.solve(square + ridge, inputs.T.double() @ targets.double()).float()


def _positions(features: Tensor) -> Tensor:
    """Evenly spread positions of all pictures as rows; the same ones for every tensor of a size."""
    flat = features.permute(0, 2, 3, 1).flatten(0, 2)
    return flat[:: max(len(flat) // SAMPLES, 1)]
