import pytest
import torch
from jaxtyping import TypeCheckError

from ins3d.geometry_losses import density_distillation_loss


@pytest.fixture
def densities(random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    student, teacher = torch.randn(2, 4, 3, 1, generator=random, dtype=torch.float64).unbind()
    return student.clone().requires_grad_(), teacher.clone()


class TestDensityDistillationLoss:
    def test_is_exactly_zero_where_the_student_is_the_teacher(self, densities):
        assert density_distillation_loss(densities[1], densities[1]).item() == 0

    def test_is_the_mean_absolute_difference(self):
        # |1 - 3| = 2, |-2 - -2| = 0, |0 - -1| = 1; mean 1.
        student, teacher = torch.tensor([[1.0], [-2.0], [0.0]]), torch.tensor([[3.0], [-2.0], [-1.0]])
        assert density_distillation_loss(student, teacher).item() == 1.0

    def test_equals_a_slow_loop(self, densities):
        student, teacher = densities
        differences = [abs(s - t) for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)]
        assert density_distillation_loss(student, teacher).item() == pytest.approx(sum(differences) / 12)

    def test_gradient_equals_finite_differences(self, densities):
        student, teacher = densities
        assert torch.autograd.gradcheck(lambda student: density_distillation_loss(student, teacher), (student,))

    def test_gradient_is_zero_at_the_target(self, densities):
        student, teacher = densities[1].clone().requires_grad_(), densities[1]
        density_distillation_loss(student, teacher).backward()
        assert student.grad is not None and student.grad.abs().max() == 0

    def test_teaches_the_student_only(self, densities):
        student, teacher = densities[0], densities[1].requires_grad_()
        density_distillation_loss(student, teacher).backward()
        assert teacher.grad is None

    def test_does_not_change_when_both_densities_rise_alike(self, densities):
        student, teacher = densities
        torch.testing.assert_close(
            density_distillation_loss(student + 5, teacher + 5), density_distillation_loss(student, teacher)
        )

    def test_compares_raw_densities_also_where_both_are_empty(self):
        # After ReLU both would be 0; before it they differ by 1.
        assert density_distillation_loss(torch.tensor([[-3.0]]), torch.tensor([[-2.0]])).item() == 1.0

    def test_refuses_other_points(self):
        with pytest.raises(TypeCheckError):
            density_distillation_loss(torch.zeros(4, 1), torch.zeros(3, 1))
