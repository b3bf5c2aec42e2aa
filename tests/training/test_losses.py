"""Losses against values by hand and against brute force."""

from itertools import permutations
from math import acos, cos, exp, log, pi

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from variants.training.losses import arcface_logits, contrastive_loss, permutation_invariant_bce


def test_arcface_adds_the_margin_to_the_true_class_only() -> None:
    logits = arcface_logits(torch.tensor([[0.5, 0.2], [0.1, -0.3]]), torch.tensor([0, 1]), margin=0.2, scale=10)
    expected = [[10 * cos(pi / 3 + 0.2), 2.0], [1.0, 10 * cos(acos(-0.3) + 0.2)]]
    torch.testing.assert_close(logits, torch.tensor(expected))


def test_arcface_without_margin_is_the_scaled_cosine() -> None:
    cosines = torch.linspace(-1, 1, 11)[:, None]
    logits = arcface_logits(cosines, torch.zeros(11, dtype=torch.long), margin=0.0, scale=30)
    torch.testing.assert_close(logits, 30 * cosines, atol=1e-3, rtol=0)


def test_arcface_falls_with_the_angle_even_past_pi() -> None:
    angles = torch.linspace(0.01, pi - 0.01, 200)
    cosines, labels = torch.cos(angles)[:, None], torch.zeros(200, dtype=torch.long)
    logits = arcface_logits(cosines, labels, margin=0.5, scale=1)[:, 0]
    assert (logits.diff() < 0).all()


def test_contrastive_loss_by_hand() -> None:
    cosines = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, -0.5], [0.0, -0.5, 1.0]])
    first = log(exp(2 * 0.5) + exp(0.0)) - 2 * 0.5  # 0 should find 1, not 2
    second = log(exp(2 * 0.5) + exp(2 * -0.5)) - 2 * 0.5
    loss = contrastive_loss(cosines, torch.tensor([7, 7, 3]), scale=2.0)  # 2 is alone
    assert loss.item() == pytest.approx((first + second) / 2)


def test_contrastive_loss_without_any_pair_is_nothing() -> None:
    cosines = torch.eye(2, requires_grad=True)
    loss = contrastive_loss(cosines, torch.tensor([0, 1]), scale=2.0)
    loss.backward()
    assert loss.item() == 0 and cosines.grad is not None and not cosines.grad.any()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), speakers=st.integers(1, 4), batch=st.integers(1, 3))
def test_permutation_invariant_bce_is_the_brute_force_minimum(seed: int, speakers: int, batch: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, 7, speakers, generator=generator)
    targets = (torch.rand(batch, 7, speakers, generator=generator) > 0.5).float()
    best = [
        min(
            F.binary_cross_entropy(torch.sigmoid(logits[row]), targets[row][:, list(order)]).item()
            for order in permutations(range(speakers))
        )
        for row in range(batch)
    ]
    assert permutation_invariant_bce(logits, targets).item() == pytest.approx(sum(best) / batch, abs=1e-5)
    weights = torch.arange(1.0, batch + 1)
    weighted = sum(weight * cost for weight, cost in zip(weights.tolist(), best, strict=True)) / weights.sum()
    assert permutation_invariant_bce(logits, targets, weights).item() == pytest.approx(weighted.item(), abs=1e-5)


def test_permutation_invariant_bce_ignores_the_order_of_speakers() -> None:
    logits = torch.randn(2, 50, 3)
    targets = (torch.rand(2, 50, 3) > 0.6).float()
    shuffled = targets[..., [2, 0, 1]]
    torch.testing.assert_close(permutation_invariant_bce(logits, targets), permutation_invariant_bce(logits, shuffled))
