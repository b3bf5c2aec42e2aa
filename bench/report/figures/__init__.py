"""The report's plots: from a document (docs/report.md) to SVG; one file each.

Each is drawn twice, for wide and for narrow screens, with the same size of print in both.
"""

import warnings

import matplotlib

from .creep import creep
from .distributions import distributions
from .footprint import footprint
from .history import history
from .pareto import pareto
from .stages import stages
from .style import SMALLEST, STYLE, Json, Plot, printable
from .timeline import who_spoke_when

__all__ = ["SMALLEST", "Plot", "plots", "printable", "who_spoke_when"]


def plots(doc: Json) -> dict[str, Plot]:
    """Every plot that the document holds enough for, by name."""
    makers = (pareto, distributions, stages, footprint, creep, history, who_spoke_when)
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that the font lacks
        found = [maker(doc) for maker in makers]
    return {plot.name: plot for plot in found if plot is not None}
