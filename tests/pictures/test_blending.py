import math
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from ins3d.perception.features import PerceptualFeatures
from ins3d.pictures.blending import PictureBlending, inr_st_factor
from ins3d.pictures.fitting import PictureSource
from ins3d.pictures.painting import Look, WindowSampler
from ins3d.pictures.rendering import StrengthMap, render_picture
from ins3d.pictures.sizes import Sizes
from ins3d.pictures.stylized import BlendedPicture
from ins3d.runs.training import Training
from ins3d.style.mix import Mix
from ins3d.style.objective import StyleObjective
from ins3d.style.styles import parse_style
from ins3d.style.targets import StyleView, style_target

CPU = torch.device("cpu")


@pytest.fixture
def objective(tiny_vgg, tmp_path: Path) -> StyleObjective:
    """One style: stripes."""
    view = StyleView(layers=("relu1_1", "relu2_1"), long_side=24)
    features = PerceptualFeatures(tiny_vgg("vgg19", last=19), ("relu1_1", "relu2_1"), source="tiny")
    picture = np.zeros((24, 24, 3), dtype=np.uint8)
    picture[::3] = (30, 220, 60)
    imageio.imwrite(tmp_path / "wave.png", picture)
    target = style_target(parse_style(str(tmp_path / "wave.png"), "styles"), features, view, CPU)
    return StyleObjective(features, [target], view, ("relu2_1",), {"content_loss": 0.3, "gram_loss": 1.0, "tv_loss": 0.0})


class TestPictureBlending:
    def blending(self, source: PictureSource, objective: StyleObjective, num_fit_steps: int) -> PictureBlending:
        torch.manual_seed(0)
        field = BlendedPicture("planes", 28)
        looks = [Look(source, WindowSampler(source, None), objective)]
        stage = PictureBlending(field, looks, Sizes((28,), (1.0,)), num_fit_steps, 150, num_points=300, fit_weight=30.0)
        stage.begin()
        return stage

    def test_first_the_picture_is_fitted_at_every_strength(self, source, objective: StyleObjective):
        stage = self.blending(source, objective, num_fit_steps=200)
        groups = [{"params": list(stage.field.parameters()), "lr": stage.field.learning_rate}]
        Training(stage.field, groups, 200, 0).run(stage.losses)
        for strength in (0.0, 0.5, 1.0):
            picture = render_picture(stage.field, source.whole, Mix((1.0,)), StrengthMap(strength))
            assert -10 * math.log10(float(((picture - source.rgb) ** 2).mean())) > 28

    def test_then_style_grows_with_strength_and_strength_0_stays(self, source, objective: StyleObjective):
        stage = self.blending(source, objective, num_fit_steps=150)
        groups = [{"params": list(stage.field.parameters()), "lr": stage.field.learning_rate}]
        Training(stage.field, groups, 300, 0).run(stage.losses)
        pictures = [
            render_picture(stage.field, source.whole, Mix((1.0,)), StrengthMap(strength)) for strength in (0.0, 0.5, 1.0)
        ]
        distances = [float(objective.gram_distance(picture[None], 0)) for picture in pictures]
        assert distances[0] > distances[1] > distances[2]
        assert -10 * math.log10(float(((pictures[0] - source.rgb) ** 2).mean())) > 28

    def test_content_and_style_are_weighed_by_the_papers_factors(self, source, objective: StyleObjective):
        stage = self.blending(source, objective, num_fit_steps=0)
        strength = float(torch.rand(300, 1, generator=torch.Generator().manual_seed(5))[0])
        asked = {}
        each = objective.losses
        objective.losses = lambda *arguments: asked.update(each(*arguments)) or asked
        found = stage.losses(0, torch.Generator().manual_seed(5))
        assert float(found["gram_loss"]) == pytest.approx(inr_st_factor(strength) * float(asked["gram_loss"]), rel=1e-5)
        expected = 0.3 * inr_st_factor(1 - strength) * float(asked["content_loss"])
        assert float(found["content_loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share, expected", [(0.25, 0.0719), (0.9, 2.0723)])
def test_inr_sts_factor(share: float, expected: float):
    # -0.25 ln 0.75 = 0.25 * 0.28768; -0.9 ln 0.1 = 0.9 * 2.30259.
    assert inr_st_factor(share) == pytest.approx(expected, abs=1e-4)


def test_inr_sts_factor_is_finite_at_full_share():
    # -(1 - 1e-4) ln 1e-4.
    assert inr_st_factor(1.0) == pytest.approx(9.2094, abs=1e-3) and inr_st_factor(0.0) == pytest.approx(1e-8, rel=1e-3)
