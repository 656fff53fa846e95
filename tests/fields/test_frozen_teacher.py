import torch
from torch import nn

from ins3d.fields.frozen_teacher import FrozenTeacher


class Owner(nn.Module):
    """What holds both in a real run."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.teacher = FrozenTeacher(self.student)


class TestFrozenTeacher:
    def test_answers_as_the_field_did_when_it_was_frozen(self, random: torch.Generator):
        owner = Owner()
        points = torch.randn(5, 3, generator=random)
        assert torch.equal(owner.teacher(points), owner.student.eval()(points))

    def test_is_unchanged_by_optimizer_steps_on_the_original(self, random: torch.Generator):
        owner = Owner()
        points = torch.randn(5, 3, generator=random)
        before, student_before = owner.teacher(points).clone(), owner.student[0].weight.detach().clone()
        optimizer = torch.optim.Adam(owner.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            owner.student(points).square().sum().backward()
            optimizer.step()
        assert not torch.equal(owner.student[0].weight, student_before)
        assert torch.equal(owner.teacher(points), before)

    def test_stays_in_eval_mode_when_its_owner_trains(self, random: torch.Generator):
        owner = Owner().train()
        points = torch.randn(200, 3, generator=random)
        assert owner.student.training and not any(module.training for module in owner.teacher.field.modules())
        # With dropout at work two answers would differ.
        assert torch.equal(owner.teacher(points), owner.teacher(points))

    def test_leaves_the_originals_mode_and_gradients_alone(self):
        owner = Owner()
        assert owner.student.training
        assert all(parameter.requires_grad for parameter in owner.student.parameters())

    def test_adds_no_keys_to_a_checkpoint_and_no_parameters_to_an_optimizer(self):
        owner = Owner()
        assert set(owner.state_dict()) == {f"student.{key}" for key in owner.student.state_dict()}
        assert len(list(owner.parameters())) == len(list(owner.student.parameters()))
        assert [name for name, _ in owner.named_modules() if "teacher" in name] == []

    def test_answers_without_gradient_even_to_points_that_want_one(self):
        points = torch.zeros(2, 3, requires_grad=True)
        assert not Owner().teacher(points).requires_grad
        assert not any(parameter.requires_grad for parameter in Owner().teacher.field.parameters())
