"""How often the interval of a DER difference holds the truth, in simulations that know it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from bench.statistics import Crossed, crossed_difference
from variants.arrays import Doubles

FLIP = 10.0  # points of a file's DER that one changed assignment costs or saves, about


@dataclass(frozen=True)
class Material:
    """What is heard: clusters of so many files each, of so many blocks of 10 s, under so many perturbations."""

    clusters: int
    files: int
    blocks: int
    perturbations: int


@dataclass(frozen=True)
class Spread:
    """Standard deviations (points) of each effect on a block's error, and how often an assignment changes.

    cluster, file, block: of the audio; blocks are an AR(1) series of `rho`. perturbation: of one perturbation on a
    file; cell: of one on one block. flips: probability, per file and perturbation, that from some block on to the end
    the baseline errs otherwise, and likewise the variant, either way; one_sided: that the variant errs more.
    """

    cluster: float = 0.0
    file: float = 0.0
    block: float = 0.0
    rho: float = 0.0
    perturbation: float = 0.0
    cell: float = 1.0
    flips: float = 0.0
    one_sided: float = 0.0


SPREADS = {
    "voices differ": Spread(cluster=1.5, file=0.5, block=2, rho=0.3, flips=0.03),
    "blocks differ, and are alike in time": Spread(cluster=0.2, file=0.5, block=4, rho=0.5, flips=0.03),
    "perturbations differ": Spread(cluster=0.3, block=1, perturbation=1, flips=0.03),
    "many flips": Spread(cluster=0.1, block=0.5, flips=0.2),
    "few flips": Spread(block=0.2, cell=0.2, flips=0.01),
    "all of it": Spread(cluster=0.7, file=0.5, block=2, rho=0.4, perturbation=0.3, cell=2, flips=0.1),
    "few flips, all for the worse": Spread(block=0.5, cell=0.5, one_sided=0.05),
}
MATERIALS = (
    Material(1, 1, 6, 20),
    Material(1, 1, 60, 20),
    Material(2, 1, 60, 20),
    Material(3, 1, 6, 20),
    Material(1, 6, 6, 4),
    Material(1, 6, 6, 20),
    Material(2, 3, 6, 20),
    Material(4, 1, 6, 4),
    Material(4, 1, 6, 20),
    Material(6, 1, 6, 20),
    Material(8, 2, 6, 20),
    Material(12, 1, 6, 4),
    Material(12, 1, 6, 20),
)


@dataclass
class Covered:
    """Of simulated differences: what was resampled, how many intervals held the truth, and half their widths."""

    units: set[str] = field(default_factory=set)
    held: int = 0
    reaches: list[float] = field(default_factory=list)


def cover(material: Material, spread: Spread, runs: int, random: Generator, fixed: bool = False) -> Covered:
    """Simulate so many comparisons of a true difference of 0 (but for one-sided flips), and count."""
    found = Covered()
    for _ in range(runs):
        interval, truth = simulated(material, spread, random, fixed)
        found.units.add(interval.unit)
        found.held += interval.low <= truth <= interval.high
        found.reaches.append((interval.high - interval.low) / 2)
    return found


def simulated(material: Material, spread: Spread, random: Generator, fixed: bool = False) -> tuple[Crossed, float]:
    """One comparison's interval, and the truth that it speaks of: of all voices, these voices, or these recordings."""
    files, blocks, count = material.clusters * material.files, material.blocks, material.perturbations
    speech = random.uniform(6, 12, (files, blocks, 1))  # seconds of each block
    clusters = np.repeat(np.arange(material.clusters), material.files)
    voices = spread.cluster * random.standard_normal(material.clusters)[clusters][:, None, None]
    own = spread.file * random.standard_normal((files, 1, 1))
    series = spread.block * random.standard_normal((files, blocks, 1))
    for i in range(1, blocks):
        series[:, i] = spread.rho * series[:, i - 1] + np.sqrt(1 - spread.rho**2) * series[:, i]
    shape = (files, blocks, count)
    noise = spread.perturbation * random.standard_normal((files, 1, count)) + spread.cell * random.standard_normal(
        shape
    )
    for likely in (spread.flips, spread.flips):
        noise = noise + _flips(shape, likely, random) * random.choice([-1, 1], (files, 1, count))
    noise = noise + _flips(shape, spread.one_sided, random)
    points = voices + own + series + noise
    interval = crossed_difference(list(points * speech / 100), list(speech[..., 0]), clusters.tolist(), fixed=fixed)
    heard = {"clusters": 0.0 * voices, "files": voices, "runs": voices + own, "none": voices + own + series}
    expected = spread.one_sided * FLIP * (blocks + 1) / blocks
    return interval, expected + float(np.average(heard[interval.unit] + 0 * speech, weights=speech))


def _flips(shape: tuple[int, int, int], likely: float, random: Generator) -> Doubles:
    """Points of error from a random block on to the end: `FLIP` of the file's where that is halfway, on average."""
    files, blocks, count = shape
    begin = random.integers(0, blocks, (files, 1, count))
    size = 2 * FLIP * random.uniform(0.5, 1.5, (files, 1, count)) * (random.random((files, 1, count)) < likely)
    flips: Doubles = size * (np.arange(blocks)[:, None] >= begin)
    return flips


def table(runs: int, seed: int) -> str:
    """Coverage of 95 % intervals and their median half-width in points, in markdown; seeded."""
    random = np.random.default_rng(seed)
    head = ["clusters x files x 10 s x perturbations", "resampled", *SPREADS]
    lines = [head, ["---", "---", *["---:"] * len(SPREADS)]]
    for fixed, material in [(False, material) for material in MATERIALS] + [(True, MATERIALS[5])]:
        cells = [cover(material, spread, runs, random, fixed) for spread in SPREADS.values()]
        m, units = material, ", ".join(sorted(set().union(*(cell.units for cell in cells))))
        lines.append([
            f"{m.clusters} x {m.files} x {m.blocks} x {m.perturbations}",
            units,
            *(f"{100 * cell.held / runs:.1f} (±{np.median(cell.reaches):.1f})" for cell in cells),
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
