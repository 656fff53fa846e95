from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ins3d.files.pictures import read_rgb, resize_long_side
from ins3d.transfer.microast import MicroAST, StyleSignal, load_microast

CPU = torch.device("cpu")
States = dict[str, dict[str, Tensor]]
PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")

# The published files: where each convolution is kept, and the shape of its kernel.
ENCODER = {
    "enc1.0": (16, 3, 9, 9),
    "enc1.2": (32, 1, 3, 3),
    "enc1.4": (32, 32, 1, 1),
    "enc1.6": (64, 1, 3, 3),
    "enc1.8": (64, 64, 1, 1),
    "enc1.10.conv1": (64, 64, 3, 3),
    "enc1.10.conv2": (64, 64, 3, 3),
    "enc2.0.conv1": (64, 64, 3, 3),
    "enc2.0.conv2": (64, 64, 3, 3),
}
KERNELS = {
    "content_encoder": ENCODER,
    "style_encoder": ENCODER,
    "modulator": {f"{name}.0": (64, 1, 3, 3) for name in ("weight1", "bias1", "weight2", "bias2")},
    "decoder": {
        **{f"dec{number}.conv{conv}": (64, 64, 3, 3) for number in (1, 2) for conv in (1, 2)},
        "dec3.1": (32, 2, 3, 3),
        "dec3.3": (32, 32, 1, 1),
        "dec3.6": (16, 2, 3, 3),
        "dec3.8": (16, 16, 1, 1),
        "dec3.10": (3, 16, 9, 9),
    },
}


@pytest.fixture
def states(random: torch.Generator) -> States:
    """Random numbers in the shapes of the published files; what they paint is within [0, 1], mostly."""
    states: States = {}
    for part, kernels in KERNELS.items():
        states[part] = {}
        for name, shape in kernels.items():
            scale = (shape[1] * shape[2] * shape[3]) ** -0.5
            states[part][f"{name}.conv_layer.weight"] = torch.randn(shape, generator=random) * scale
            states[part][f"{name}.conv_layer.bias"] = torch.rand(shape[0], generator=random) * 0.2
    states["decoder"]["dec3.10.conv_layer.weight"] *= 0.1
    states["decoder"]["dec3.10.conv_layer.bias"] += 0.4
    return states


@pytest.fixture
def stylizer(states: States) -> MicroAST:
    return MicroAST(states, "random numbers")


@pytest.fixture
def published(assets: Path) -> MicroAST:
    return load_microast(assets / "style2d" / "microast", CPU)


@pytest.fixture
def fox(assets: Path) -> Tensor:
    return read_rgb(assets / "scenes" / "fox" / "images_8" / "0001.jpg", "test")[:, 40:168, :132]


def picture(height: int, width: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(height * width))


def convolved(state: dict[str, Tensor], name: str, values: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    kernel, bias = state[f"{name}.conv_layer.weight"], state[f"{name}.conv_layer.bias"]
    edge = kernel.shape[-1] // 2
    return F.conv2d(F.pad(values, (edge,) * 4, mode="reflect"), kernel, bias, stride, groups=groups)


def encoded(state: dict[str, Tensor], rgb: Tensor) -> list[Tensor]:
    x = F.relu(convolved(state, "enc1.0", rgb[None]))
    x = F.relu(convolved(state, "enc1.2", x, 2, 16))
    x = F.relu(convolved(state, "enc1.4", x))
    x = F.relu(convolved(state, "enc1.6", x, 2, 32))
    x = F.relu(convolved(state, "enc1.8", x))
    maps = []
    for layer in ("enc1.10", "enc2.0"):
        x = x + convolved(state, f"{layer}.conv2", F.relu(convolved(state, f"{layer}.conv1", x)))
        maps.append(x)
    return maps


def painted(states: States, content: Tensor, style: Tensor) -> Tensor:
    """What the paper says, written down in one go on the raw numbers of the files."""
    x, signals, mod = encoded(states["content_encoder"], content)[1], encoded(states["style_encoder"], style), "modulator"
    for layer, number in (("dec1", 2), ("dec2", 1)):
        signal = signals[number - 1]
        weight, bias = (
            convolved(states[mod], f"{name}{number}.0", signal, groups=64).mean((2, 3), keepdim=True)
            for name in ("weight", "bias")
        )
        channels = []
        for ours, theirs in zip(x[0], signal[0], strict=True):
            whitened = (ours - ours.mean()) / (ours.var() + 1e-5).sqrt()
            channels.append(whitened * (theirs.var() + 1e-5).sqrt() + theirs.mean())
        given = torch.stack(channels)[None]
        inner = F.relu(weight * convolved(states["decoder"], f"{layer}.conv1", given) + bias * given)
        x = given + weight * convolved(states["decoder"], f"{layer}.conv2", inner) + bias * inner
    for grouped, mixed, groups in (("dec3.1", "dec3.3", 32), ("dec3.6", "dec3.8", 16)):
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        x = F.relu(convolved(states["decoder"], grouped, x, groups=groups))
        x = F.relu(convolved(states["decoder"], mixed, x))
    return convolved(states["decoder"], "dec3.10", x)[0].clamp(0, 1)


def test_paints_as_the_paper_says(stylizer, states):
    content, style = picture(24, 32), picture(33, 19)
    wanted = painted(states, content, style)
    assert 0.01 < wanted.std() and ((wanted > 0) & (wanted < 1)).float().mean() > 0.9  # the clamp hides nothing
    torch.testing.assert_close(stylizer(content, style), wanted, atol=1e-4, rtol=0)


def test_a_style_looked_at_once_paints_any_number_of_pictures(stylizer):
    style = picture(20, 20)
    signal = stylizer.look_at(style)
    for content in (picture(16, 24), picture(24, 16)):
        assert torch.equal(stylizer.paint(content, [(signal, 1.0)]), stylizer(content, style))


@pytest.mark.parametrize("size", [(17, 16), (18, 31), (16, 19)])
def test_odd_sizes_are_reflected_and_cut(size, stylizer, states):
    height, width = size
    content, style = picture(height, width), picture(20, 20)
    rows = [*range(height), *range(height - 2, -1, -1)][: 4 * -(-height // 4)]
    columns = [*range(width), *range(width - 2, -1, -1)][: 4 * -(-width // 4)]
    wanted = painted(states, content[:, rows][:, :, columns], style)[:, :height, :width]
    torch.testing.assert_close(stylizer(content, style), wanted, atol=1e-4, rtol=0)


def test_pictures_of_one_colour_are_painted(stylizer):
    assert stylizer(torch.full((3, 16, 16), 0.5), torch.zeros(3, 16, 16)).isfinite().all()


def test_a_loss_may_look_at_the_picture(stylizer):
    learned = torch.zeros(3, 16, 16, requires_grad=True)
    (learned * stylizer(picture(16, 16), picture(16, 16))).sum().backward()
    assert learned.grad is not None and learned.grad.abs().sum() > 0


class TestStrength:
    def test_zero_is_the_content_and_what_is_left_is_painted_like_itself(self, stylizer):
        content, style = picture(16, 20), picture(20, 20)
        torch.testing.assert_close(stylizer(content, style, 0.0), content)
        torch.testing.assert_close(stylizer.stylized(content[None], [])[0].clamp(0, 1), stylizer(content, content))

    def test_half_lies_halfway_between_the_signals(self, stylizer):
        one, other = stylizer.look_at(picture(16, 16)), stylizer.look_at(picture(20, 20))
        for level in ("shallow", "deep"):
            ends = [getattr(style, level) for style in (one, other)]
            half = StyleSignal.mixed(ends, [torch.tensor(0.5), torch.tensor(0.5)])
            for number in ("mean", "deviation", "weight", "bias"):
                wanted = (getattr(ends[0], number) + getattr(ends[1], number)) / 2
                torch.testing.assert_close(getattr(half, number), wanted)

    @pytest.mark.parametrize("strength", [-0.1, 1.5])
    def test_refuses_others(self, strength, stylizer):
        with pytest.raises(ValueError) as error:
            stylizer(picture(16, 16), picture(16, 16), strength)
        assert str(error.value) == "strength: shares of styles lie between 0 and 1, and are no more than 1 together."


@pytest.mark.parametrize("small", ["picture", "style"])
def test_refuses_small_pictures(small, stylizer):
    sizes = {"picture": picture(16, 16), "style": picture(16, 16), small: picture(16, 15)}
    with pytest.raises(ValueError) as error:
        stylizer(sizes["picture"], sizes["style"])
    wanted = f"a {small} of 15x16 pixels is too small to be painted; use at least 16 pixels a side."
    assert str(error.value) == wanted


@pytest.mark.weights
class TestPublishedWeights:
    @pytest.mark.parametrize("name", ["starry_night", "mosaic"])
    def test_colours_become_the_styles(self, name, published, fox, assets):
        style = resize_long_side(read_rgb(assets / "styles" / f"{name}.jpg", "test"), 256)
        signal = published.look_at(style)
        whole, half, none = (published.paint(fox, [(signal, strength)]) for strength in (1.0, 0.5, 0.0))
        distances = [(rgb.mean((1, 2)) - style.mean((1, 2))).norm() for rgb in (whole, half, none, fox)]
        assert distances[0] < 0.2 * distances[3] and distances[0] < distances[1] < distances[2]
        changes = [(rgb - fox).abs().mean() for rgb in (whole, half, none)]
        assert changes[0] > changes[1] > changes[2] and changes[2] < 0.1

    def test_the_same_picture_is_always_painted_alike(self, published, fox, assets):
        signal = published.look_at(read_rgb(assets / "styles" / "mosaic.jpg", "test"))
        assert torch.equal(published.paint(fox, [(signal, 1.0)]), published.paint(fox, [(signal, 1.0)]))

    def test_a_picture_moved_by_a_pixel_is_painted_otherwise(self, published, fox, assets):
        # The network samples every fourth pixel: this is why sequences flicker. Moved by four, strokes move along.
        signal = published.look_at(resize_long_side(read_rgb(assets / "styles" / "mosaic.jpg", "test"), 256))
        still = published.paint(fox[:, :, :128], [(signal, 1.0)])
        errors = {}
        for shift in (1, 4):
            moved = published.paint(fox[:, :, shift : 128 + shift], [(signal, 1.0)])
            errors[shift] = (still[:, 16:-16, 16 + shift : 112] - moved[:, 16:-16, 16 : 112 - shift]).abs().mean()
        assert errors[1] > 0.03 and errors[4] < 0.3 * errors[1]

    def test_says_where_it_comes_from(self, published):
        assert published.source == "MicroAST from microast, found in the setting per-frame-weights"


class TestLoad:
    @pytest.fixture(autouse=True)
    def no_variable(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("INS3D_PER_FRAME_WEIGHTS", raising=False)

    @pytest.fixture
    def folder(self, states: States, tmp_path: Path) -> Path:
        for part in PARTS:
            torch.save(states[part], tmp_path / f"{part}_iter_160000.pth.tar")
        return tmp_path

    def message(self, folder: Path | None, kind: type[Exception]) -> str:
        with pytest.raises(kind) as error:
            load_microast(folder, CPU)
        return str(error.value)

    def test_reads_the_four_files(self, folder, stylizer):
        content, style = picture(16, 16), picture(16, 16)
        assert torch.equal(load_microast(folder, CPU)(content, style), stylizer(content, style))

    def test_the_variable_names_the_folder_too(self, folder, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("INS3D_PER_FRAME_WEIGHTS", str(folder))
        assert load_microast(None, CPU).source == f"MicroAST from {folder.name}, found in INS3D_PER_FRAME_WEIGHTS"

    def test_says_what_to_fetch_when_nothing_is_named(self):
        assert self.message(None, FileNotFoundError) == (
            "per-frame-weights: there is no official download; give its path, or set INS3D_PER_FRAME_WEIGHTS: the folder "
            "`models` of github.com/EndyWon/MicroAST."
        )

    def test_names_a_folder_that_is_not_there(self, tmp_path):
        message = self.message(tmp_path / "none", FileNotFoundError)
        assert message.startswith(f"per-frame-weights: {tmp_path / 'none'} does not exist; ")
        assert message.endswith(": the folder `models` of github.com/EndyWon/MicroAST.")

    @pytest.mark.parametrize("part", PARTS)
    def test_names_a_missing_file(self, part, folder):
        (folder / f"{part}_iter_160000.pth.tar").unlink()
        assert self.message(folder, FileNotFoundError) == (
            f"per-frame-weights: {folder} (from the setting per-frame-weights) holds no {part}_iter_160000.pth.tar; give "
            "the folder `models` of github.com/EndyWon/MicroAST."
        )

    def test_names_a_file_that_is_no_weights(self, folder):
        path = folder / "decoder_iter_160000.pth.tar"
        path.write_text("404: not found")
        assert self.message(folder, ValueError) == (
            f"per-frame-weights: {path} (from the setting per-frame-weights) cannot be read as weights (UnpicklingError); "
            "fetch it again from github.com/EndyWon/MicroAST."
        )

    def test_names_what_another_network_has(self, folder, states):
        kernel = states["decoder"]["dec1.conv1.conv_layer.weight"]
        others = {
            "shape": {"dec1.conv1.conv_layer.weight": kernel[:32]},
            "more": {"z": kernel},
            "whole": {"a": {}},
            "none": {},
        }
        told = {}
        for name, change in others.items():
            state = {} if name == "none" else states["decoder"] | change
            torch.save(state, folder / "decoder_iter_160000.pth.tar")
            told[name] = self.message(folder, ValueError)
        assert told["shape"] == (
            f"per-frame-weights: the decoder of MicroAST from {folder.name}, found in the setting per-frame-weights is "
            "another network's (dec1.conv1.conv_layer.weight has shape (32, 64, 3, 3) where (64, 64, 3, 3) was expected); "
            "fetch it again from github.com/EndyWon/MicroAST."
        )
        assert "(a is no part of it)" in told["whole"]
        assert "(z is no part of it)" in told["more"]
        assert "(dec1.conv1.conv_layer.weight is missing)" in told["none"]
