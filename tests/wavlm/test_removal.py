"""Masked by gates equals physically pruned, whatever is removed; expected sizes; files."""

from pathlib import Path

import pytest
import torch

from variants import UserError, provenance_of
from variants.loading import load
from variants.wavlm import Encoder, GatedEncoder, Gates, HeadSizes, Segmenter, Sizes, remove
from variants.wavlm.counting import parameters
from variants.wavlm.segmenter import prepared
from variants.wavlm.weights import save


def gate(units: int, removed: int) -> torch.Tensor:
    """Values in (0, 1), as gates have them at evaluation, with some 0."""
    values = 0.3 + 0.7 * torch.rand(units)
    values[torch.randperm(units)[:removed]] = 0
    return values


def some(sizes: Sizes) -> Gates:
    """Something of every type: no layer whole, one without heads, one without units, one without both."""
    heads = [gate(4, removed) for removed in (2, 4, 1, 4)]
    return Gates([gate(c, 9 + i) for i, c in enumerate(sizes.convs)], heads, [gate(48, r) for r in (48, 20, 47, 48)])


def relative(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, wanted, strict=True))


def test_masked_equals_removed(encoder: Encoder) -> None:
    gates, waveforms = some(encoder.sizes), torch.randn(2, 16_000)
    smaller = remove(encoder, gates)
    assert smaller.sizes.convs == (15, 14, 13, 12, 11, 10, 9)
    assert list(map(len, smaller.sizes.heads)) == [2, 0, 3, 0] and smaller.sizes.ffns == (0, 28, 1, 0)
    with torch.no_grad():
        masked, removed, whole = encoder(waveforms, gates), smaller(waveforms), encoder(waveforms)
    assert relative(removed, masked) < 1e-5
    assert relative(whole, masked) > 0.01  # the gates matter
    assert sum(p.numel() for p in smaller.parameters()) == parameters(smaller.sizes)


@pytest.mark.parametrize("kind", ["convs", "heads", "ffns"])
def test_masked_equals_removed_for_each_type(kind: str, encoder: Encoder) -> None:
    sizes = encoder.sizes
    ones = Gates(*([torch.ones(n) for n in many] for many in (sizes.convs, [4] * 4, sizes.ffns)))
    gates, waveforms = ones._replace(**{kind: getattr(some(sizes), kind)}), torch.randn(1, 8_000)
    with torch.no_grad():
        assert relative(remove(encoder, gates)(waveforms), encoder(waveforms, gates)) < 1e-5


def test_removal_from_what_is_pruned_already(encoder: Encoder) -> None:
    once = remove(encoder, some(encoder.sizes))
    sizes, waveforms = once.sizes, torch.randn(1, 8_000)
    again = Gates(
        [gate(c, 3) for c in sizes.convs],
        [gate(len(h), len(h) // 2) for h in sizes.heads],
        [gate(f, f // 2) for f in sizes.ffns],
    )
    with torch.no_grad():
        assert relative(remove(once, again)(waveforms), once(waveforms, again)) < 1e-5
    assert set(remove(once, again).sizes.heads[0]) < set(sizes.heads[0])  # still by the dense model's numbers


def test_gated_encoder(encoder: Encoder) -> None:
    gated = GatedEncoder(encoder)
    sparsity = gated.sparsity()
    assert 0 < sparsity.item() < 0.5  # half of the feed-forward units are closed at first, and little else
    sparsity.backward()
    gradients = [p.grad for g in (gated.convs, gated.heads, gated.ffns) for p in g.parameters()]
    assert all(g is not None and (g < 0).all() for g in gradients)  # whatever opens lowers the sparsity
    waveforms = torch.randn(1, 8_000)
    gated.train()
    with torch.no_grad():
        assert not torch.equal(gated(waveforms)[-1], gated(waveforms)[-1])  # drawn anew
        for group in (gated.convs, gated.heads, gated.ffns):
            for hard in group:
                hard.log_alpha.fill_(-9.0)[: len(hard.log_alpha) // 3] = 9.0
        gated.eval()
        smaller = remove(encoder, gated.gates())
        assert relative(smaller(waveforms), gated(waveforms)) < 1e-5
        left = 1 - parameters(smaller.sizes) / parameters(encoder.sizes)
        assert abs(left - gated.sparsity().item()) < 0.01
        for hard in gated.convs:
            hard.log_alpha.fill_(-9.0)
        assert remove(encoder, gated.gates()).sizes.convs == (1,) * 7  # a convolution cannot be empty
        assert relative(remove(encoder, gated.gates())(waveforms), gated(waveforms)) < 1e-5


def test_file(encoder: Encoder, tmp_path: Path) -> None:
    segmenter = Segmenter(encoder.sizes, HeadSizes(width=32, ffn=64, heads=2, blocks=1))
    segmenter.encoder = remove(encoder, some(encoder.sizes))
    segmenter.half().float().eval()
    save(segmenter, tmp_path / "model.safetensors", {"teacher": "none"})
    again = load("segmentation", str(tmp_path / "model.safetensors"))
    waveforms = torch.randn(2, 1, 16_000)
    with torch.no_grad():
        torch.testing.assert_close(again.scores(waveforms), segmenter.scores(waveforms), atol=0, rtol=0)
        assert again(waveforms).shape == (2, 49, 4)
    stamp = provenance_of(again)
    assert stamp is not None and stamp.trained
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a segmentation"):
        load("segmentation", str(tmp_path / "other.safetensors"))


def test_waveforms_of_large_are_normalised(encoder: Encoder) -> None:
    waveforms = 3 * torch.randn(2, 1, 8_000) + 0.5
    ready = prepared(waveforms, encoder.sizes)
    if not encoder.sizes.large:
        assert torch.equal(ready, waveforms[:, 0])
        return
    torch.testing.assert_close(ready, torch.nn.functional.layer_norm(waveforms[:, 0], (8_000,)), atol=1e-5, rtol=0)


def test_convolutions_learn_at_a_tenth(encoder: Encoder) -> None:
    def gradient(training: bool) -> torch.Tensor:
        encoder.train(training).zero_grad()
        encoder(waveforms)[-1].square().mean().backward()
        found = encoder.convs[3].get_submodule("conv").get_parameter("weight").grad
        assert found is not None
        return found.clone()

    waveforms = torch.randn(1, 4_000)
    torch.testing.assert_close(gradient(True), 0.1 * gradient(False), rtol=1e-3, atol=1e-7)
