"""A stored run beside this one: ratios, never absolute times, and no verdict across machines."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.statistics import Ratio


def stored_ratios(saved: Mapping[str, Any]) -> Iterator[tuple[str, str, Ratio]]:
    """(kind, variant, ratio to the baseline) of each benchmark in a pytest-benchmark JSON that this project wrote.

    Raises KeyError, TypeError, ValueError or AttributeError for what is no such thing.
    """
    for benchmark in saved.get("benchmarks", []):
        info = benchmark.get("extra_info", {})
        ratio = info.get("ratio_to_baseline")
        if ratio is not None and "variant" in info:
            rounds = int(benchmark.get("stats", {}).get("rounds", 0))
            estimate, low, high = (float(ratio[key]) for key in ("estimate", "low", "high"))
            between, share = (None if (x := ratio.get(key)) is None else float(x) for key in ("between", "share"))
            found = Ratio(estimate, low, high, rounds, int(ratio.get("processes", 1)), between, share)
            yield str(benchmark.get("group", "")), str(info["variant"]), found


def differing_conditions(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What makes a stored run incomparable: another CPU model, thread count, or none recorded at all."""
    then = saved.get("diartbench")
    if not then:
        return ["it does not say on what it was measured"]
    named = ("threads", "embedding", "segmentation", "calibration")
    pairs = [(what, then.get(what), now.get(what)) for what in named]
    pairs.insert(0, ("CPU", then.get("machine", {}).get("cpu"), now["machine"]["cpu"]))
    settings = then.get("settings") or {}
    pairs += [(name, settings.get(name), now["settings"].get(name)) for name in sorted({*settings, *now["settings"]})]
    return [f"{what}: {before} then, {after} now" for what, before, after in pairs if before != after]


def judge(before: Ratio, after: Ratio) -> str:
    """ "lower" or "higher" if the intervals of the two ratios do not meet, else "same within intervals"."""
    if after.high < before.low:
        return "lower"
    return "higher" if after.low > before.high else "same within intervals"
