import pytest
import torch

from ins3d.plugin.schedule import FusedAdamConfig, StageSchedule, StageScheduleConfig


def schedule(stage: str, style_stage_mult: float = 0.0, content_steps: int = 100, final: float = 0.04) -> StageSchedule:
    return StageScheduleConfig(
        stage=stage, warmup=10, final=final, style_stage_mult=style_stage_mult, content_steps=content_steps, style_steps=200
    ).setup()


class TestStageSchedule:
    def test_content_warms_up_decays_and_stops_at_the_boundary(self):
        factor = schedule("content").factor
        # Warm-up: 0.02 + 0.98 * step / 10; decay: 0.04 ** (step / 100).
        assert factor(0) == pytest.approx(0.02)
        assert factor(5) == pytest.approx((0.02 + 0.49) * 0.04**0.05)
        assert factor(10) == pytest.approx(0.04**0.1)
        assert factor(50) == pytest.approx(0.2)
        assert factor(99) == pytest.approx(0.04**0.99)
        assert [factor(step) for step in (100, 101, 299, 300)] == [0.0, 0.0, 0.0, 0.0]

    def test_content_that_goes_on_learning_has_its_share_and_decays_with_the_style(self):
        factor = schedule("content", style_stage_mult=0.1).factor
        assert factor(99) == pytest.approx(0.04**0.99)
        # The style stage is 200 steps long; halfway the decay is 0.04 ** 0.5 = 0.2.
        assert factor(100) == pytest.approx(0.1 * 0.02)
        assert factor(200) == pytest.approx(0.1 * 0.2)
        assert factor(300) == pytest.approx(0.1 * 0.04)

    def test_style_rests_until_the_boundary_and_counts_from_there(self):
        factor = schedule("style").factor
        assert [factor(step) for step in (0, 50, 99)] == [0.0, 0.0, 0.0]
        assert factor(100) == pytest.approx(0.02)
        assert factor(105) == pytest.approx((0.02 + 0.49) * 0.04**0.025)
        assert factor(200) == pytest.approx(0.2)
        assert factor(300) == factor(10_000) == pytest.approx(0.04)

    def test_without_a_content_stage_the_style_starts_at_step_zero(self):
        assert schedule("style", content_steps=0).factor(0) == pytest.approx(0.02)
        assert schedule("content", content_steps=0).factor(0) == 0.0

    @pytest.mark.parametrize("stage", ["content", "style"])
    def test_every_factor_is_a_plain_float(self, stage: str):
        factor = schedule(stage, style_stage_mult=0.1).factor
        assert {type(factor(step)) for step in range(0, 320, 5)} == {float}

    def test_torch_applies_the_factor_and_its_state_loads_safely(self, tmp_path):
        parameter = torch.nn.Parameter(torch.zeros(2))
        optimizer = FusedAdamConfig(lr=0.5, eps=1e-15).setup([parameter])
        built = schedule("content")
        scheduler = built.get_scheduler(optimizer, lr_init=0.5)
        for step in range(12):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * built.factor(step))
            assert type(scheduler.get_last_lr()[0]) is float
            parameter.grad = torch.ones(2)
            optimizer.step()
            scheduler.step()
        torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, tmp_path / "state.ckpt")
        assert torch.load(tmp_path / "state.ckpt", weights_only=True)["scheduler"]["last_epoch"] == 12
