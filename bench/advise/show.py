"""The advice in words: a table of all variants, one of DER by step and latency, and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from bench.capacity.measure import Capacity
from bench.report.fitted import Fitted
from bench.report.format import number, show_percentile, show_points

from .measure import Score
from .steps import MARGIN, Service, shortest
from .sweep import Cell

ALIKE = 1.0  # points of DER: what one hearing at another step may differ by and mean nothing


@dataclass(frozen=True)
class Advice:
    """All that was found. latency: algorithmic, seconds. scores: at each variant's shortest step.

    confirmed: real streams of the chosen variant. sweep: of it, too.
    """

    services: Mapping[str, Mapping[float, Service]]
    scores: Mapping[str, Score]
    trained: Mapping[str, bool]
    latency: float
    asked: int = 1
    confirmed: Capacity | None = None
    sweep: Mapping[Cell, float] = field(default_factory=dict)

    @property
    def shortest(self) -> dict[str, Service]:
        """Of each variant that can be run at any step."""
        found = {name: shortest(steps) for name, steps in self.services.items()}
        return {name: service for name, service in found.items() if service is not None}

    def fit(self, name: str) -> bool:
        """Whether a variant's DER is known to be no problem: the baseline's own, or within tolerance of it."""
        judged = self.scores.get(name, (None, None))[1]
        known = name == "baseline" or not self.scores or (judged is not None and judged.verdict == "within tolerance")
        return known and self.trained.get(name, True)

    @property
    def chosen(self) -> str | None:
        """The variant that runs at the shortest step, of these that which carries most, among those that are fit."""
        fit = [name for name in self.shortest if self.fit(name)]
        return min(fit, key=lambda name: self._rank(name), default=None)

    def _rank(self, name: str) -> tuple[float, int]:
        service = self.shortest[name]
        return service.step, -service.streams[service.way]


def table(advice: Advice) -> Fitted:
    """A row per variant."""
    steps = sorted({step for found in advice.services.values() for step in found})
    each = [f"at {step:g} s" for step in steps]
    columns = ["variant", "shortest step s", "p99 ms there", "margin %", *each, "DER %", "DER change", "verdict"]
    spare = ["margin %", *each[1:-1], "DER change"]
    asked = "" if advice.asked == 1 else f" ({advice.asked} streams)"
    result = Fitted(f"Which step, which variant{asked}: streams per core by step, in turn / batched", columns, spare)
    for name, services in advice.services.items():
        best = advice.shortest.get(name)
        der, judged = advice.scores.get(name, (None, None))
        result.add_row(
            name + ("" if advice.trained.get(name, True) else " *"),
            "-" if best is None else f"{'≤ ' if best.step == steps[0] else ''}{best.step:g}",
            "-" if best is None else show_percentile(best.p99, None),
            "-" if best is None or best.margin is None else f"{100 * best.margin:.0f}",
            *(_streams(services.get(step)) for step in steps),
            number(der),
            "-" if judged is None else show_points(judged).removesuffix(" points"),
            "reference" if name == "baseline" else "-" if judged is None else _verdict(judged),
        )
    result.caption = (
        f"shortest step: at it and at all longer ones, p99 leaves {100 * MARGIN:.0f} % of it; computed from measured "
        f"service times. DER at that step and a latency of {advice.latency:g} s."
    )
    return result


def sweep_table(advice: Advice) -> Fitted:
    """DER in % by step (down) and latency (across)."""
    lates = sorted({late for _, late in advice.sweep})
    result = Fitted(
        f"{advice.chosen}: DER % by step and algorithmic latency",
        ["step s", *(f"latency {late:g} s" for late in lates)],
    )
    for step in sorted({step for step, _ in advice.sweep}):
        result.add_row(f"{step:g}", *(number(advice.sweep.get((step, late))) for late in lates))
    return result


def sentence(advice: Advice) -> str:
    """What to run."""
    name = advice.chosen
    if name is None:
        return _none(advice)
    service, confirmed = advice.shortest[name], advice.confirmed
    der, judged = advice.scores.get(name, (None, None))
    p99 = "" if service.p99 is None else f", 99 % of its chunks answered within {1000 * service.p99:.0f} ms"
    text = f"Run {name} at a step of {service.step:g} s and a latency of {advice.latency:g} s{p99}; "
    if confirmed is not None:
        at, interval = confirmed.trial.percentiles["p99"], confirmed.trial.interval(99)
        shown = "" if at is None else f", then p99 {show_percentile(at, interval)} ms"
        text += f"a core carries {confirmed.per_core:g} such streams ({confirmed.way}, tried in real time{shown})"
    else:
        text += f"a core should carry {service.streams[service.way]} such streams ({service.way})"
    if der is not None:
        change = "" if judged is None else f", {show_points(judged)} over the baseline"
        text += f"; DER {der:.1f} %{change}"
    text += _cheaper(advice, name)
    others = [other for other in advice.shortest if not advice.fit(other) and advice._rank(other) < advice._rank(name)]
    if others:
        why = "untrained, or their DER is not known to be within tolerance"
        text += f". Faster, but {why}: {', '.join(others)}"
    return text + "."


def _cheaper(advice: Advice, name: str) -> str:
    """The longest step at which the sweep heard about the same DER, if that is another."""
    mine = advice.sweep.get((advice.shortest[name].step, advice.latency))
    at = {step: der for (step, late), der in advice.sweep.items() if late == advice.latency}
    alike = [step for step, der in at.items() if mine is not None and der <= mine + ALIKE]
    step = max(alike, default=0.0)
    if step <= advice.shortest[name].step or step not in advice.services[name]:
        return ""
    carried = max(advice.services[name][step].streams.values())
    return f"; at {step:g} s DER was {at[step]:.1f} % (heard once), and a core should carry {carried}"


def _none(advice: Advice) -> str:
    longest = {name: steps[max(steps)] for name, steps in advice.services.items()}
    best = max(longest, key=lambda name: longest[name].streams[longest[name].way])
    service = longest[best]
    carried = service.streams[service.way]
    if not carried:
        return f"No variant here keeps up, not even at a step of {service.step:g} s: take a faster CPU or more threads."
    return (
        f"No variant carries {advice.asked} streams on one core at any step up to {service.step:g} s: {best} carries "
        f"{carried} at that step; spread them over {ceil(advice.asked / carried)} cores (--streams {carried})."
    )


def _streams(service: Service | None) -> str:
    return "-" if service is None else f"{service.streams['in turn']} / {service.streams['batched']}"


def _verdict(judged: Any) -> str:
    return "same labels" if judged.identical else str(judged.verdict)


def as_json(advice: Advice) -> dict[str, Any]:
    """All that was found, as plain JSON values; seconds."""
    best = advice.shortest
    return {
        "chosen": advice.chosen,
        "sentence": sentence(advice),
        "latency": advice.latency,
        "streams_asked": advice.asked,
        "variants": {
            name: {
                "shortest_step": best[name].step if name in best else None,
                "p99": best[name].p99 if name in best else None,
                "der": advice.scores.get(name, (None, None))[0],
                "streams": {str(step): dict(service.streams) for step, service in sorted(steps.items())},
                "service": {
                    str(step): {str(n): list(s) for n, s in found.seconds.items()} for step, found in steps.items()
                },
            }
            for name, steps in advice.services.items()
        },
        "sweep": [{"step": step, "latency": late, "der": der} for (step, late), der in sorted(advice.sweep.items())],
    }
