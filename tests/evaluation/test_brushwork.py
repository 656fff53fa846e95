from pathlib import Path

import pytest
import torch
from torch import Tensor

from ins3d.evaluation.brushwork import Brushwork, brushwork_numbers, cut_out
from ins3d.evaluation.frame_judge import JUDGE_LAYERS
from ins3d.evaluation.frames import FrameFolder, Row
from ins3d.evaluation.geometry_warp import GeometryView
from ins3d.perception.features import PerceptualFeatures

PLAIN, OURS, THEIRS = Row("unstylised"), Row("stylised", "lines"), Row("per-frame", "dots")
NUMBERS = {"gram", "remd", "coherence", "spectrum", "ssim"}


def lines(height: int = 40, width: int = 48, period: int = 6) -> Tensor:
    """Slanted, black and gold."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    bright = ((rows + 2 * columns) % period < period // 2).float()
    return torch.stack([0.9 * bright, 0.7 * bright, 0.2 * bright])


def dots(height: int = 40, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(1, height, width, generator=generator) > 0.7).float().expand(3, -1, -1).contiguous()


@pytest.fixture
def features(tiny_vgg) -> PerceptualFeatures:
    return PerceptualFeatures(tiny_vgg("vgg19", last=19), JUDGE_LAYERS, source="tiny")


def folder(path: Path, pictures: dict[Row, Tensor], opacity: Tensor) -> FrameFolder:
    frames = FrameFolder(path)
    for row, picture in pictures.items():
        frames.write_picture(row, 0, picture)
    camera = (torch.eye(4)[:3], torch.tensor([20.0, 20, 20, 15]), torch.zeros(6))
    frames.write_geometry(0, GeometryView(*camera, torch.ones_like(opacity), opacity), {})
    return frames


class TestBrushwork:
    @pytest.fixture
    def found(self, tmp_path: Path, features: PerceptualFeatures) -> Brushwork:
        smooth = torch.linspace(0, 1, 48).expand(3, 40, -1)
        frames = folder(tmp_path, {PLAIN: smooth, OURS: lines(), THEIRS: dots()}, torch.ones(1, 40, 48))
        paintings = {"lines": lines(34, 40), "dots": dots(34, 40)}
        return brushwork_numbers(frames, [PLAIN, OURS, THEIRS], False, features, paintings)

    def test_each_style_has_the_rows_of_none_and_its_own_at_two_sizes(self, found: Brushwork):
        assert {style: list(sides) for style, sides in found.items()} == {"lines": ["256", "40"], "dots": ["256", "40"]}
        assert all(list(rows) == ["unstylised", "stylised: lines"] for rows in found["lines"].values())
        assert all(list(rows) == ["unstylised", "per-frame: dots"] for rows in found["dots"].values())
        assert all(set(rows["unstylised"]) == NUMBERS for rows in found["dots"].values())

    def test_the_floor_is_the_whole_content_and_all_of_its_gram_distance(self, found: Brushwork):
        for sides in found.values():
            for rows in sides.values():
                assert rows["unstylised"]["gram"] == pytest.approx(1) and rows["unstylised"]["ssim"] == pytest.approx(1)

    def test_what_is_painted_like_the_painting_is_nearer_to_it(self, found: Brushwork):
        rows = found["lines"]["40"]
        assert all(rows["stylised: lines"][name] < rows["unstylised"][name] for name in ("gram", "remd", "spectrum"))

    def test_what_is_around_an_object_does_not_count(self, tmp_path: Path, features: PerceptualFeatures):
        opacity = torch.zeros(1, 40, 48)
        opacity[:, 4:36, 8:44] = 1
        found = []
        for number, around in enumerate((0.0, 1.0)):
            pictures = {row: torch.where(opacity > 0, shown, around) for row, shown in ((PLAIN, dots()), (OURS, lines()))}
            frames = folder(tmp_path / str(number), pictures, opacity)
            found.append(brushwork_numbers(frames, list(pictures), True, features, {"lines": lines()}))
        assert found[0] == found[1]


@pytest.mark.parametrize(
    ("rows", "columns", "shape"),
    [
        ((5, 45), (10, 52), (40, 42)),  # its box
        ((5, 9), (10, 52), (32, 42)),  # one too thin for a network, grown
        ((58, 60), (0, 3), (32, 32)),  # in a corner
    ],
)
def test_an_object_is_cut_out_of_its_box_even_where_nothing_is_opaque(rows: tuple, columns: tuple, shape: tuple):
    mask = torch.zeros(1, 60, 90)
    mask[:, slice(*rows), slice(*columns)] = 0.25
    shown = cut_out(torch.ones(3, 60, 90), mask, torch.tensor([0.0, 0.2, 1.0]))
    assert shown.shape == (3, *shape)
    assert shown.amax((1, 2)).tolist() == pytest.approx([0.25, 0.25 + 0.75 * 0.2, 1])
