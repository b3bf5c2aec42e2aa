"""A variant as one ONNX file to use elsewhere, with what is known about it written into the file."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from variants.errors import UserError
from variants.exact.pooling import ProductPool
from variants.exact.row_graph import row_graph
from variants.exact.shared_trunk import SharedTrunk
from variants.files import check_writable
from variants.provenance import Provenance, provenance_of
from variants.registry import Built, Variant, build, get
from variants.runtime.graph import Graph
from variants.runtime.onnx import export


def export_variant(
    name: str, root: nn.Module, out: Path, der_increase: float | None = None, stored: Iterable[Path] = ()
) -> dict[str, str]:
    """Write variant `name`, built from `root` (of its kind), as ONNX file `out`; returns the metadata in it.

    der_increase: measured DER increase over the baseline, in points; None: that in `stored`, if any. The file has
    DIART's input and output names and is right in any session. Raises UserError, naming what to export instead, for
    what one file cannot hold.
    """
    import onnx

    entry = get(name)
    if entry.exported_by is not None:
        raise UserError(
            f"variant {name!r} keeps state, is two models, or is no ONNX: it cannot be one ONNX file; "
            f"the nearest that can is {entry.exported_by!r}"
        )
    check_writable(out, "--out")
    model = build(name, root)
    source = provenance_of(model)
    if der_increase is None:
        der_increase = stored_der(name, source, stored)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
        file = Path(folder) / "model.onnx"
        graph = onnx.load(str(_write(model, entry, file)))
        calibrated = {p.key: p.value for p in graph.metadata_props if p.key.startswith("calibration_")}
        notes = calibrated | metadata(entry, source, der_increase)
        onnx.helper.set_model_props(graph, notes)
        onnx.save(graph, str(file))
        file.replace(out)  # all of it or none
    return notes


def _write(model: Built, entry: Variant, file: Path) -> Path:
    """The ONNX file of a built model: its own if it runs from one, else written to `file`."""
    own = getattr(getattr(model, "model", None), "path", None)
    if own is not None:
        return Path(own)
    try:
        if entry.model == "segmentation":
            return _write_segmentation(model, file)
        if isinstance(getattr(model, "stats_pool", None), ProductPool):  # whose own code branches, and cannot be traced
            return export(row_graph(model, shared=isinstance(model, SharedTrunk)), file)
        if not isinstance(model, nn.Module):
            raise TypeError(f"{type(model).__name__} is no torch module")
        return export(model, file)
    except Exception as error:  # whatever an exporter raises for what ONNX does not have
        reason = (str(error).strip().split("\n") or [""])[0]
        instead = f"; its parent is {entry.parent!r}" if entry.parent else ""
        raise UserError(
            f"variant {entry.name!r} has no ONNX form ({type(error).__name__}: {reason}){instead}"
        ) from None


def _write_segmentation(model: Built, file: Path) -> Path:
    """The graph that a segmentation runs from, under DIART's names."""
    import onnx

    if not isinstance(model, Graph):
        raise TypeError(f"{type(model).__name__} is no graph")
    if getattr(getattr(model, "specifications", None), "powerset", False):
        raise TypeError("it gives a powerset, which DIART decodes for models in torch only")
    found = onnx.load_from_string(bytes(model.get_buffer("file").numpy()))
    names = {"inputs": "waveform", "outputs": "segmentation"}
    for value in (*found.graph.input, *found.graph.output):
        value.name = names.get(value.name, value.name)
    for node in found.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    onnx.save(found, str(file))
    return file


def metadata(entry: Variant, source: Provenance | None, der_increase: float | None) -> dict[str, str]:
    """What the file says of itself: names, the source weights' SHA-256, tolerance and measured DER in points."""
    return {
        "variant": entry.name,
        "parent": entry.parent or "",
        "source": source.source if source else "unknown",
        "source_sha256": source.sha256 if source else "unknown",
        "trained": str(bool(source and source.trained)).lower(),
        "exact": str(entry.exact).lower(),
        "tolerance_der_points": f"{entry.tolerance:g}",
        "der_increase_points": "not measured" if der_increase is None else f"{der_increase:+.3f}",
    }


def stored_der(name: str, source: Provenance | None, files: Iterable[Path]) -> float | None:
    """DER increase of `name` with the same weights in the newest of pytest-benchmark's stored `files` that has it."""
    for file in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            infos = [benchmark["extra_info"] for benchmark in json.loads(file.read_bytes())["benchmarks"]]
            for info in infos:
                same = source is not None and (info.get("weights") or {}).get("sha256") == source.sha256
                if same and info.get("variant") == name and isinstance(info.get("der_increase"), int | float):
                    return float(info["der_increase"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # not one of ours
    return None
