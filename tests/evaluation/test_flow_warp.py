import math
from itertools import product

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from ins3d.evaluation.flow_warp import (
    FlowPair,
    consistent,
    motion_boundary,
    protocol_a,
    protocol_b,
    softmax_splat,
)

HEIGHT, WIDTH = 20, 26
RULES = ("pixel", "relative")


def constant(right: float, down: float, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.tensor([float(right), float(down)])[:, None, None].expand(2, height, width).contiguous()


def noise(random: torch.Generator, channels: int = 3) -> Tensor:
    return torch.rand(channels, HEIGHT, WIDTH, generator=random)


def slow_splat(source: Tensor, flow: Tensor, importance: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel by pixel, in Python's doubles, with plain exp."""
    channels, height, width = source.shape
    total, coverage = torch.zeros(height, width).double(), torch.zeros(height, width).double()
    picture = torch.zeros(channels, height, width).double()
    for row, column in product(range(height), range(width)):
        x, y = column + flow[0, row, column].item(), row + flow[1, row, column].item()
        for below, right in product(range(height), range(width)):
            weight = max(0.0, 1 - abs(x - right)) * max(0.0, 1 - abs(y - below))
            share = weight * math.exp(importance[row, column].item())
            picture[:, below, right] += share * source[:, row, column]
            total[below, right] += share
            coverage[below, right] += weight
    return torch.where(total > 0, picture / total, torch.zeros(())).float(), coverage.float()


class MovingSquare:
    """A square that moves 4 px rightwards over a background that stands still, both with their own noise.

    In the source frame it covers columns 8 to 14, in the target frame 12 to 18, in both rows 6 to 12 (the last excluded).
    """

    rows, before, after = slice(6, 12), slice(8, 14), slice(12, 18)

    def __init__(self, random: torch.Generator) -> None:
        background, square = 0.4 * noise(random), 0.6 + 0.4 * torch.rand(3, 6, 6, generator=random)
        self.source, self.target = background.clone(), background.clone()
        forward, backward = constant(0, 0), constant(0, 0)
        self.source[:, self.rows, self.before] = self.target[:, self.rows, self.after] = square
        forward[0, self.rows, self.after], backward[0, self.rows, self.before] = -4, 4
        self.pair = FlowPair(forward, backward)
        self.uncovered = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        self.uncovered[self.rows, 8:12] = True
        # Central differences see the square's outline from both of its sides; not around its corners.
        self.outline = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        for column in (11, 12, 17, 18):
            self.outline[self.rows, column] = True
        for row in (5, 6, 11, 12):
            self.outline[row, self.after] = True


@pytest.fixture
def square(random: torch.Generator) -> MovingSquare:
    return MovingSquare(random)


class TestConsistent:
    @pytest.mark.parametrize("rule", RULES)
    def test_without_motion_everything_can_be_trusted(self, rule):
        assert consistent(FlowPair(constant(0, 0), constant(0, 0)), rule).all()

    @pytest.mark.parametrize("rule", RULES)
    def test_what_comes_from_outside_the_picture_cannot(self, rule):
        # Target pixel (x, y) shows source pixel (x + 5, y - 3).
        valid = consistent(FlowPair(constant(5, -3), constant(-5, 3)), rule)
        expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        expected[3:, :-5] = True
        assert torch.equal(valid, expected)

    @pytest.mark.parametrize(("error", "valid"), [(0.99, True), (1.01, False)])
    def test_the_pixel_rule_allows_less_than_one_pixel(self, error: float, valid: bool):
        # However long the flows are: a gap of (0.6, 0.8) times the error.
        for length in (0.0, 10.0):
            pair = FlowPair(constant(length, 0), constant(-length + 0.6 * error, 0.8 * error))
            assert bool(consistent(pair, "pixel")[10, 3]) == valid

    @pytest.mark.parametrize(("forward", "backward"), [(0.0, 0.0), (10.0, -10.0), (10.0, -9.0)])
    def test_the_relative_rule_allows_more_to_longer_flows(self, forward: float, backward: float):
        # A gap e across the flows: e^2 + (f + b)^2 < 0.01 (f^2 + b^2 + e^2) + 0.5 solved for e.
        allowed = ((0.01 * (forward**2 + backward**2) + 0.5 - (forward + backward) ** 2) / 0.99) ** 0.5
        for share, valid in ((0.99, True), (1.01, False)):
            pair = FlowPair(constant(forward, 0), constant(backward, share * allowed))
            assert bool(consistent(pair, "relative")[10, 3]) == valid

    def test_the_flow_back_is_looked_up_where_the_flow_leads(self, random: torch.Generator):
        forward, backward = constant(3.0, 0), 5 + torch.rand(2, HEIGHT, WIDTH, generator=random)
        backward[:, 4, 10] = torch.tensor([-3.0, 0.0])
        expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        expected[4, 7] = True
        assert torch.equal(consistent(FlowPair(forward, backward), "pixel"), expected)

    def test_the_pixel_rule_refuses_exactly_the_uncovered_background(self, square: MovingSquare):
        assert torch.equal(consistent(square.pair, "pixel"), ~square.uncovered)

    def test_the_relative_rule_refuses_the_boundary_of_the_motion_too(self, square: MovingSquare):
        assert torch.equal(consistent(square.pair, "relative"), ~(square.uncovered | square.outline))

    def test_flows_of_two_sizes_are_refused(self):
        with pytest.raises(TypeCheckError):
            FlowPair(constant(0, 0), constant(0, 0, width=WIDTH + 1))


class TestMotionBoundary:
    def test_is_where_the_flow_jumps(self, square: MovingSquare):
        assert torch.equal(motion_boundary(square.pair.forward), square.outline)

    @pytest.mark.parametrize("direction", [0, 1])
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize(("length", "slope"), [(0.0, 0.002**0.5), (4.0, 0.162**0.5)])
    def test_allows_longer_flows_a_steeper_slope(self, length: float, slope: float, axis: int, direction: int):
        # 0.01 * 4^2 + 0.002 = 0.162. The flow has that length in the other direction, and this one is 0 at pixel 10.
        for share, jumps in ((0.99, False), (1.01, True)):
            flow = constant(length, length)
            ramp = share * slope * (torch.arange(flow.shape[1 + axis]) - 10)
            flow[direction] = ramp[:, None] if axis == 0 else ramp
            assert bool(motion_boundary(flow)[10, 10]) == jumps


class TestProtocolB:
    def test_zero_flow_is_the_picture(self, random: torch.Generator):
        source = noise(random)
        warped = protocol_b(source, FlowPair(constant(0, 0), constant(0, 0)))
        torch.testing.assert_close(warped.picture, source)
        assert warped.valid.all()

    def test_a_constant_flow_shifts_the_picture(self, random: torch.Generator):
        source = noise(random)
        warped = protocol_b(source, FlowPair(constant(5, -3), constant(-5, 3)))
        torch.testing.assert_close(warped.picture[:, 3:, :-5], source[:, :-3, 5:])
        assert warped.valid[3:, :-5].all() and warped.valid.sum() == (HEIGHT - 3) * (WIDTH - 5)

    def test_half_a_pixel_is_the_mean_of_neighbours(self, random: torch.Generator):
        source = noise(random)
        warped = protocol_b(source, FlowPair(constant(0.5, 0), constant(-0.5, 0)))
        torch.testing.assert_close(warped.picture[:, :, :-1], (source[:, :, :-1] + source[:, :, 1:]) / 2)
        assert warped.valid[:, :-1].all() and not warped.valid[:, -1].any()


class TestSoftmaxSplat:
    def test_zero_flow_is_the_picture(self, random: torch.Generator):
        source = noise(random)
        picture, coverage = softmax_splat(source, constant(0, 0), noise(random)[0])
        torch.testing.assert_close(picture, source)
        assert (coverage == 1).all()

    def test_a_constant_flow_shifts_the_picture(self, random: torch.Generator):
        source = noise(random)
        picture, coverage = softmax_splat(source, constant(5, -3), noise(random)[0])
        expected, covered = torch.zeros(3, HEIGHT, WIDTH), torch.zeros(HEIGHT, WIDTH)
        expected[:, :-3, 5:], covered[:-3, 5:] = source[:, 3:, :-5], 1
        torch.testing.assert_close(picture, expected)
        assert torch.equal(coverage, covered)

    def test_is_the_slow_loop(self, random: torch.Generator):
        source = torch.rand(2, 6, 7, generator=random)
        flow = 3 * torch.randn(2, 6, 7, generator=random)
        importance = 3 * torch.randn(6, 7, generator=random)
        found, expected = softmax_splat(source, flow, importance), slow_splat(source, flow, importance)
        # Some pixels stay empty, some get more than one, and something leaves the picture.
        assert (expected[1] == 0).any() and (expected[1] > 1).any() and expected[1].sum() < 6 * 7 - 1
        torch.testing.assert_close(found[0], expected[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-5)

    def test_of_two_pixels_on_one_the_important_one_wins(self):
        # Both the first and the last of three pixels land on the middle one, which itself leaves the picture.
        source, flow = torch.tensor([[[1.0, 9.0, 2.0]]]), torch.tensor([[[1.0, 50.0, -1.0]], [[0.0, 0.0, 0.0]]])
        for importance, expected in (((0.0, 0.0), 1.5), ((20.0, 0.0), 1.0), ((0.0, 20.0), 2.0), ((math.log(3), 0.0), 1.25)):
            first, last = importance
            picture, coverage = softmax_splat(source, flow, torch.tensor([[first, 99.0, last]]))
            assert picture[0, 0].tolist() == pytest.approx([0.0, expected, 0.0])
            assert coverage[0].tolist() == [0, 2, 0]

    def test_only_differences_of_importance_count(self, random: torch.Generator):
        source, flow, importance = noise(random), 2 * noise(random, 2), noise(random)[0]
        expected, _ = softmax_splat(source, flow, importance)
        # exp(1000) and exp(-1000) are not numbers that a float holds.
        for more in (1000, -1000):
            torch.testing.assert_close(softmax_splat(source, flow, importance + more)[0], expected, atol=1e-3, rtol=0)

    def test_an_unimportant_pixel_that_lands_alone_is_shown(self):
        picture, _ = softmax_splat(torch.tensor([[[0.3, 0.7]]]), constant(0, 0, 1, 2), torch.tensor([[-500.0, 500.0]]))
        torch.testing.assert_close(picture, torch.tensor([[[0.3, 0.7]]]))

    def test_a_color_stays_that_color_wherever_something_lands(self, random: torch.Generator):
        source = torch.full((3, HEIGHT, WIDTH), 0.7)
        picture, coverage = softmax_splat(source, 6 * noise(random, 2) - 3, 10 * noise(random)[0])
        torch.testing.assert_close(picture[:, coverage > 0], torch.full((3, int((coverage > 0).sum())), 0.7))

    def test_an_importance_of_another_size_is_refused(self):
        with pytest.raises(TypeCheckError):
            softmax_splat(torch.zeros(3, HEIGHT, WIDTH), constant(0, 0), torch.zeros(HEIGHT, WIDTH + 1))


class TestProtocols:
    def test_b_shows_the_target_wherever_it_is_valid(self, square: MovingSquare):
        warped = protocol_b(square.source, square.pair)
        assert torch.equal(warped.valid, ~square.uncovered)
        torch.testing.assert_close(warped.picture[:, warped.valid], square.target[:, warped.valid])

    def test_a_shows_the_target_wherever_it_is_valid(self, square: MovingSquare):
        warped = protocol_a(square.source, square.pair, square.source, square.target)
        assert torch.equal(warped.valid, ~(square.uncovered | square.outline))
        # The background that the square moves over lands there too, weighed down by how much it differs from the square.
        leak = torch.exp(-10 * (square.source - square.target).abs().mean(0))
        hidden = torch.zeros_like(warped.valid)
        hidden[square.rows, 14:18] = True
        expected = torch.where(hidden, (square.target + leak * square.source) / (1 + leak), square.target)
        assert (warped.valid & hidden).sum() >= 8 and 0 < leak[hidden].max() < 0.1
        torch.testing.assert_close(warped.picture[:, warped.valid], expected[:, warped.valid])

    def test_a_takes_the_importance_from_the_content(self, random: torch.Generator):
        # Two source pixels land on the middle; the contents differ from the target's there by 0.1 and 0.3, mean of channels.
        backward = constant(0, 0, 3, 3)
        backward[0, 1] = torch.tensor([1.0, 0.0, -1.0])
        backward[0, 1, 1] = 50
        source = torch.zeros(1, 3, 3)
        source[0, 1] = torch.tensor([1.0, 9.0, 2.0])
        content_target = 0.5 * torch.ones(3, 3, 3)
        content_source = content_target.clone()
        content_source[:, 1, 0] += torch.tensor([0.3, 0.0, 0.0])
        content_source[:, 1, 2] -= torch.tensor([0.3, 0.3, 0.3])
        warped = protocol_a(source, FlowPair(constant(0, 0, 3, 3), backward), content_source, content_target)
        first, last = math.exp(-10 * 0.1), math.exp(-10 * 0.3)
        assert warped.picture[0, 1, 1].item() == pytest.approx((first + 2 * last) / (first + last), abs=1e-4)

    @pytest.mark.parametrize(("step", "valid"), [(0.49, True), (0.51, False)])
    def test_a_wants_more_than_half_a_pixel_covered(self, step: float, valid: bool):
        # Everything from column 5 on moves by a step, which leaves 1 - step of column 5; flows up to 0.7 px apart agree.
        backward = constant(0, 0)
        backward[0, :, 5:] = step
        pair = FlowPair(constant(0, 0), backward)
        assert consistent(pair, "relative").all()
        gray = torch.full((3, HEIGHT, WIDTH), 0.5)
        expected = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
        expected[:, 5] = valid
        assert torch.equal(protocol_a(gray, pair, gray, gray).valid, expected)

    def test_pictures_of_another_size_than_the_flow_are_refused(self, square: MovingSquare):
        other = torch.zeros(3, HEIGHT, 2 * WIDTH)
        text = r"^flow: a picture has 52x20 pixels and the flow 26x20; give frames of the size that the flow was found at\.$"
        with pytest.raises(ValueError, match=text):
            protocol_b(other, square.pair)
        with pytest.raises(ValueError, match=text):
            protocol_a(other, square.pair, other, other)

    def test_a_refuses_contents_of_another_size_than_the_picture(self, square: MovingSquare):
        with pytest.raises(TypeCheckError):
            protocol_a(square.source, square.pair, square.source, square.target[:, :, 1:])
