"""Every variant's DER against its declared tolerance, on real outputs of the pipeline.

`--accuracy full` scores the whole corpus, `--variants` chooses, `--corpus` names another one.
"""

import pytest

from bench.run.run import Run
from variants import Variant
from variants.registry import EXACT_TOLERANCE

COSINE = 0.99999  # lowest between an exact variant's embeddings and its parent's
# The same where the segmentation runs elsewhere, too. Its rounding moves the weights: four layers of LSTM carry 1e-5
# to 0.04 within a chunk (pyannote/segmentation: cosine 0.9994 in one row of 744, the labels all the same).
COSINE_BESIDE_ANOTHER_SEGMENTATION = 0.999


def describe(name: str, other: str, run: Run) -> str:
    """Per file: DER of both, for the failure message."""
    mine, theirs = run.scores.accuracy[name], run.scores.accuracy[other]
    lines = [
        f"  {a.name}: {100 * a.der.error / a.der.total:.2f} % against {100 * b.der.error / b.der.total:.2f} %"
        for a, b in zip(mine.files, theirs.files, strict=True)
        if a.der is not None and b.der is not None and a.der.total
    ]
    return "\n".join(lines)


def test_exact_variant_equals_its_parent(variant: Variant, scored: Run) -> None:
    if not variant.exact or variant.parent is None:
        pytest.skip(f"{variant.name} is not declared exact")
    accuracy, parent = scored.scores.accuracy[variant.name], scored.scores.accuracy[variant.parent]
    increase = accuracy.increase_over(parent)
    changed = ", ".join(accuracy.changed) or "none"
    assert increase is None or abs(increase.points) <= EXACT_TOLERANCE, (
        f"{variant.name}: DER {increase.points:+.3f} points against {variant.parent}; changed chunks: {changed}\n"
        + describe(variant.name, variant.parent, scored)
    )
    lowest = min(accuracy.files, key=lambda f: f.parent_cosine)
    bound = COSINE if variant.segmentation is None else COSINE_BESIDE_ANOTHER_SEGMENTATION
    assert lowest.parent_cosine >= bound, (
        f"{variant.name}: cosine {lowest.parent_cosine:.7f} to {variant.parent} in {lowest.name}; changed: {changed}"
    )


@pytest.mark.parametrize("over", ["baseline", "parent"])
def test_der_increase_is_within_tolerance(variant: Variant, scored: Run, over: str) -> None:
    """Over the parent too: where a parent beats the baseline, its descendants could lose all of that unseen."""
    other = "baseline" if over == "baseline" else variant.parent
    if over == "parent" and (variant.exact or other in (None, "baseline")):
        pytest.skip(f"{variant.name}: asserted by another test")
    assert other is not None
    for name in (variant.name, other):
        if not scored.models.trained[name]:
            pytest.skip(f"{name} has random weights: its DER means nothing")
    increase = scored.scores.accuracy[variant.name].increase_over(scored.scores.accuracy[other])
    if increase is None:
        pytest.fail("no speech with a reference, so nothing is judged; or use --accuracy off", pytrace=False)
    assert increase.points <= variant.tolerance, (
        f"{variant.name}: DER {increase.points:+.2f} points over {other}, tolerance {variant.tolerance:g}\n"
        + describe(variant.name, other, scored)
    )
