"""A stored run beside this one, as a table."""

from collections.abc import Mapping
from typing import Any

from bench.history.compare import differing_conditions, judge, stored_ratios
from bench.latency.results import Kind

from .fitted import Fitted
from .format import show_interval


def compare_table(saved: Mapping[str, Any], kinds: Mapping[str, Kind], now: Mapping[str, Any], table: Fitted) -> Fitted:
    """Fill `table` with each variant's ratio to its own run's baseline, then and now."""
    differing = differing_conditions(saved, now)
    table.caption = f"no verdict, measured under other conditions ({'; '.join(differing)})" if differing else None
    for kind, variant, before in stored_ratios(saved):
        latency = kinds[kind].latencies.get(variant) if kind in kinds else None
        after = latency.to_baseline if latency else None
        judgement = "not measured" if after is None else "-" if differing else judge(before, after)
        figures = show_interval(before), show_interval(after)
        table.add_row(variant, kind, *figures, judgement.removesuffix(" within intervals"))
    return table
