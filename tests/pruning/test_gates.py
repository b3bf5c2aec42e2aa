"""HardConcrete gates against numbers worked out by hand, and their behaviour as distributions."""

import math

import pytest
import torch

from variants.pruning import HardConcrete


def gates(*log_alpha: float, multiple: int = 1) -> HardConcrete:
    result = HardConcrete(len(log_alpha), multiple=multiple)
    result.log_alpha.data = torch.tensor(log_alpha)
    return result


def test_expected_number_by_hand() -> None:
    # 2/3 ln 11 = 1.598597: sigmoid(1.598597) = 0.831827, sigmoid(-0.401403) = 0.400975
    assert gates(0.0, -2.0).expected().item() == pytest.approx(1.232802, abs=1e-5)


def test_expected_number_is_what_is_sampled() -> None:
    torch.manual_seed(0)
    gate = gates(0.5, -1.0, -3.0)
    open_share = torch.stack([(gate.sample() > 0).float() for _ in range(20_000)]).mean(dim=0)
    assert open_share.sum().item() == pytest.approx(gate.expected().item(), abs=0.02)


def test_samples_are_stretched_and_clipped() -> None:
    torch.manual_seed(0)
    samples = torch.stack([gates(0.0).sample() for _ in range(20_000)])
    assert samples.min() >= 0 and samples.max() <= 1
    # By symmetry as many are exactly 0 as exactly 1: 1 - sigmoid(2/3 ln 11) = 0.168173 each.
    assert (samples == 0).float().mean().item() == pytest.approx(0.168, abs=0.01)
    assert (samples == 1).float().mean().item() == pytest.approx(0.168, abs=0.01)


def test_start_leaves_the_given_share_closed() -> None:
    torch.manual_seed(0)
    gate = HardConcrete(4000, pruned=0.2)
    assert gate.log_alpha.mean().item() == pytest.approx(math.log(4), abs=1e-3)
    assert gate.log_alpha.std().item() == pytest.approx(0.01, rel=0.1)


def test_mask_closes_the_smallest() -> None:
    # Expected: 0.998 + 0.832 + 0.401 + 0.012 = 2.24 of 4, so two stay, at sigmoid(1.2 log_alpha).
    mask = gates(0.0, -6.0, 5.0, -2.0).mask()
    torch.testing.assert_close(mask, torch.tensor([0.5, 0.0, 1 / (1 + math.exp(-6)), 0.0]))


def test_offset_counts_more_of_them_but_leaves_their_values() -> None:
    gate = gates(0.0, -6.0, 5.0, -2.0)
    # sigmoid(x + 4 + 1.5986): 0.996, 0.401, 1, 0.973 -> 3 stay; less 4: 0.083, 0, 0.931, 0.012 -> 1 stays
    assert (gate.mask(4.0) > 0).tolist() == [True, False, True, True]
    assert (gate.mask(-4.0) > 0).tolist() == [False, False, True, False]
    assert gate.mask(4.0)[0] == gate.mask(-0.1)[0] == 0.5


def test_open_gates_come_in_multiples() -> None:
    assert (gates(*[9.0] * 7, *[-9.0] * 9, multiple=4).mask() > 0).sum() == 8
    assert (gates(*[9.0] * 5, *[-9.0] * 9, multiple=4).mask() > 0).sum() == 4
    assert (gates(*[9.0] * 7, multiple=4).mask() > 0).sum() == 7  # as many as there are


def test_samples_in_training_masks_at_evaluation() -> None:
    gate = gates(0.0, 0.1, -0.1)
    torch.manual_seed(0)
    assert not torch.equal(gate.train()(), gate())
    assert torch.equal(gate.eval()(), gate())
    assert torch.equal(gate(), gate.mask())


def test_gradient_reaches_the_gates() -> None:
    torch.manual_seed(0)
    gate = gates(0.0, 0.0, 0.0, 0.0)
    (gate.expected() + gate.sample().sum()).backward()
    assert gate.log_alpha.grad is not None and (gate.log_alpha.grad > 0).all()
