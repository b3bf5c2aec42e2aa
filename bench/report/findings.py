"""What one run found out: all that its tables, its page and its stored JSON are made from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.accuracy.der import Accuracy, Turn
from bench.accuracy.evidence import Evidence
from bench.accuracy.verdict import Judgement
from bench.latency.floor import Floor
from bench.latency.profile import Profile
from bench.latency.results import Kind


@dataclass(frozen=True)
class Findings:
    """All that one run found out."""

    kinds: Mapping[str, Kind]
    accuracy: Mapping[str, Accuracy]
    sizes: Mapping[str, float | None]
    memory: Mapping[str, float | None]
    trained: Mapping[str, bool]
    skipped: Mapping[str, str]
    notes: list[str]
    conditions: Mapping[str, Any]
    compared: Mapping[str, Any]  # stored runs by the time of their making
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # what each variant calls and starts
    floors: Mapping[str, Floor] = field(default_factory=dict)
    judgements: Mapping[str, Judgement] = field(default_factory=dict)  # on DER, over the baseline's
    evidence: Evidence | None = None  # what they rest on
    broken: Mapping[str, str] = field(default_factory=dict)  # variants that could not be built or scored, and why
    in_int8: Collection[str] = ()  # variants that are, in part at least
    references: Mapping[str, tuple[Turn, ...]] = field(default_factory=dict)  # who really spoke when, by file
    profiles: Mapping[str, Mapping[str, Profile]] = field(default_factory=dict)  # of two variants, by kind
