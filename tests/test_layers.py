"""What may import what (docs/architecture.md): found from the code, nothing of which is run."""

import graphlib

import grimp
import pytest

# from the top down: a room may import those below it, and none above or beside it
BENCH = (
    ("bench_capacity", "bench_cold_start", "bench_model_only", "bench_pipeline", "bench_soak"),
    ("plugin", "__main__", "former"),
    ("advise", "gate", "studies"),
    ("run",),
    ("report",),
    ("history",),
    ("capacity",),
    ("latency", "accuracy"),
    ("statistics",),
    ("pipeline",),
    ("corpus",),
    ("hidden",),
)
VARIANTS = (
    ("__main__", "live", "own"),
    ("exporting",),
    ("segmentation", "training"),
    ("streaming",),
    ("compressed",),
    ("exact", "paper"),
    ("loading", "runtime"),
    ("campplus", "registry", "wavlm"),
    ("provenance", "pruning", "speech", "fetch"),
    ("commands", "files"),
    ("arrays", "errors"),
)
MEASURING = {f"bench.latency.{name}" for name in ("interleave", "memory", "quiet", "replay", "subjects")}
MAY_MEASURE = {
    f"bench.gate.{name}" for name in ("__main__", "bisect", "fresh", "gate", "processes", "record", "worker")
}  # a gated run's own blocks


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("bench", "variants", exclude_type_checking_imports=True, cache_dir=None)


def test_variants_never_import_bench(graph: grimp.ImportGraph) -> None:
    bench = {"bench", *graph.find_descendants("bench")}
    importers = {importer for module in bench for importer in graph.find_modules_that_directly_import(module)}
    assert len(importers) > 50 and importers <= bench


@pytest.mark.parametrize(("package", "floors"), [("bench", BENCH), ("variants", VARIANTS)])
def test_rooms_import_downwards_only(
    graph: grimp.ImportGraph, package: str, floors: tuple[tuple[str, ...], ...]
) -> None:
    floor = {f"{package}.{room}": height for height, rooms in enumerate(floors) for room in rooms}
    assert graph.find_children(package) == set(floor)

    def room(module: str) -> str:
        parts = module.split(".")
        return f"{parts[0]}.__main__" if parts[-1] == "__main__" else ".".join(parts[:2])  # a command stands on top

    wrong = {
        (importer, imported)
        for importer in graph.find_descendants(package)
        for imported in graph.find_modules_directly_imported_by(importer)
        if room(imported) in floor
        and room(imported) != room(importer)
        and floor[room(imported)] <= floor[room(importer)]
    }
    assert not wrong


def test_no_circles(graph: grimp.ImportGraph) -> None:
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        tuple(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"circle: {' <- '.join(error.args[1])}")


def test_gate_and_report_never_measure(graph: grimp.ImportGraph) -> None:
    judging = {"bench.report", "bench.gate", "bench.history", "bench.statistics"}
    modules = judging | {m for room in judging for m in graph.find_descendants(room)}
    measuring = {(m, d) for m in modules for d in graph.find_modules_directly_imported_by(m) if d in MEASURING}
    assert {m for m, _ in measuring} <= MAY_MEASURE


def test_techniques_need_no_training(graph: grimp.ImportGraph) -> None:
    """What runs a variant never imports what trains one."""
    training = {"variants.training", *graph.find_descendants("variants.training")}
    outside = [m for m in graph.find_descendants("variants") if m not in training]
    assert not [m for m in outside if graph.find_modules_directly_imported_by(m) & training]
