"""The size constraint by hand, its schedule, and that its multipliers ascend."""

import pytest
import torch
from torch import nn

from variants.pruning import (
    Constraint,
    HardConcrete,
    PercentileClip,
    matching_loss,
    parameter_groups,
    scheduled,
)


def test_penalty_and_gradients_by_hand() -> None:
    constraint = Constraint()
    constraint.l1.data, constraint.l2.data = torch.tensor(2.0), torch.tensor(3.0)
    sparsity = torch.tensor(0.3, requires_grad=True)
    penalty = constraint(sparsity, 0.8)
    penalty.backward()
    assert penalty.item() == pytest.approx(2 * -0.5 + 3 * 0.25)
    assert sparsity.grad is not None and constraint.l1.grad is not None and constraint.l2.grad is not None
    assert sparsity.grad.item() == pytest.approx(2 + 2 * 3 * -0.5)
    assert (constraint.l1.grad.item(), constraint.l2.grad.item()) == pytest.approx((-0.5, 0.25))


def test_target_rises_and_stays() -> None:
    assert [scheduled(p, 0.8, 0.5) for p in (0, 0.25, 0.5, 1)] == pytest.approx([0, 0.4, 0.8, 0.8])


def test_groups_hold_each_parameter_once() -> None:
    model = nn.ModuleDict({"layer": nn.Linear(2, 3), "gate": HardConcrete(3), "constraint": Constraint()})
    model["layer"].bias.requires_grad_(False)
    weights, gates, multipliers = parameter_groups(model, 1e-4)
    assert [p.shape for p in weights["params"]] == [(3, 2)]
    assert gates["params"] == [model["gate"].log_alpha]
    assert multipliers["params"] == [model["constraint"].l1, model["constraint"].l2]
    assert [(g["lr"], g["maximize"]) for g in (weights, gates, multipliers)] == [
        (1e-4, False),
        (2e-2, False),
        (2e-2, True),
    ]
    assert all(group["weight_decay"] == 0 for group in (weights, gates, multipliers))


def test_gates_reach_the_target() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"gate": HardConcrete(100), "constraint": Constraint()})
    optimiser = torch.optim.AdamW(parameter_groups(model, 0.0, gates=0.05))
    worth = torch.linspace(0, 1, 100)
    for step in range(1500):
        gate = model["gate"].sample()
        loss = -(worth * gate).mean()  # every unit helps, some more than others
        sparsity = 1 - model["gate"].expected() / 100
        optimiser.zero_grad()
        (loss + model["constraint"](sparsity, scheduled(step / 1500, 0.6, 0.5))).backward()
        optimiser.step()
    kept = (model["gate"].mask() > 0).float()
    assert kept.sum().item() == pytest.approx(40, abs=2)
    assert (worth * kept).sum() > (1 - worth)[kept > 0].sum()  # those that help more


def test_matching_loss_by_hand() -> None:
    # |h_s - h_t| of the first pair: (2, 2) / 2 = 2, cosine 0; of the second: 0, cosine 1
    student = [torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 4.0]])]
    teacher = [torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 4.0]])]
    assert matching_loss(student, teacher).item() == pytest.approx((2 - 0 + 0 - 1) / 2)


def test_matching_loss_gradient_by_hand() -> None:
    student = torch.tensor([[1.0, 0.0]], requires_grad=True)
    matching_loss([student], [torch.tensor([[0.0, 1.0]])]).backward()
    # mean |difference|: (1/2, -1/2); the cosine of (1, y) to (0, 1) grows by 1 with y
    torch.testing.assert_close(student.grad, torch.tensor([[0.5, -1.5]]))


def test_gradient_is_clipped_at_a_percentile_of_the_last_norms() -> None:
    parameter, clip = nn.Parameter(torch.zeros(2)), PercentileClip(percentile=50, window=3)

    def clipped(norm: float) -> tuple[float, float]:
        parameter.grad = torch.tensor([0.6, 0.8]) * norm
        limit = clip.clip([parameter, nn.Parameter(torch.zeros(1))])
        return limit, float(parameter.grad.norm())

    assert clipped(4.0) == pytest.approx((4, 4))
    assert clipped(2.0) == pytest.approx((3, 2))  # the median of 4 and 2; below it nothing changes
    assert clipped(9.0) == pytest.approx((4, 4), rel=1e-4)
    assert clipped(9.0) == pytest.approx((9, 9), rel=1e-4)  # of 2, 9, 9: the oldest has gone
