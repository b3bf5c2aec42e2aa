"""Figures with intervals as text."""

import math

from bench.report.format import bracketed, show_change, show_interval, show_percentile
from bench.statistics import Ratio


def test_shown_interval() -> None:
    assert show_interval(Ratio(0.926, 0.9, 0.954, 9)) == "92.6 [90.0, 95.4]"
    assert show_interval(Ratio(1.0, 0.0, math.inf, 3)) == "100.0 [0.0, inf]"
    assert show_interval(None) == "-"


def test_shown_change() -> None:
    assert show_change(Ratio(1.05, 1.01, 1.0905, 30)) == "+5.0 [+1.0, +9.1]"
    assert show_change(Ratio(0.9, 0.0, math.inf, 3)) == "-10.0 [-100.0, ∞]"
    assert show_change(None) == "-"


def test_shown_percentile() -> None:
    assert show_percentile(0.0123, (0.0118, 0.01304)) == "12.3 [11.8, 13.0]"
    assert show_percentile(0.0123, (0.0118, math.inf)) == "12.3 [11.8, ∞]"
    assert show_percentile(0.0123, None) == "12.3"
    assert (show_percentile(None, None), show_percentile(None, None, "–")) == ("-", "–")


def test_any_specification() -> None:
    assert bracketed((2.0, 1.5, 3.0), "+.2f") == "+2.00 [+1.50, +3.00]"
