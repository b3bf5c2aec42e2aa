"""The report on disk: index.html, summary.md and results.json, all from one document (docs/report.md)."""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from variants import UserError
from variants.files import write_atomically

from . import tables
from .figures import plots, printable

PAGE, SUMMARY, RESULTS = "index.html", "summary.md", "results.json"
ROWS, NOTES, NAME, SENTENCE = 40, 8, 60, 600  # what a comment has room for, whatever the names: GitHub takes 65,536
Json = Mapping[str, Any]


def check_folder(folder: Path) -> None:
    """Make the folder of a report; UserError in one line if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; name a folder that the report can be written to") from None


def write(doc: Json, folder: Path) -> Path:
    """Write all three files; the page's path. results.json first: the others can be made from it again."""
    makers = {RESULTS: as_json, SUMMARY: summary, PAGE: page}
    for name, make in makers.items():
        write_atomically(folder / name, make(doc))
        (folder / name).chmod(0o644)  # to be read by others, unlike the cache
    return folder / PAGE


def as_json(doc: Json) -> str:
    """The document itself; strict JSON."""
    return json.dumps(doc, indent=1, allow_nan=False) + "\n"


def page(doc: Json) -> str:
    """The whole page in one string: no script, nothing to fetch."""
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    template = environment.get_template(PAGE)
    return template.render(doc=doc, tables=tables, plots=plots(doc), missing=doc["missing"])


def summary(doc: Json) -> str:
    """A pull request comment in GitHub's Markdown."""
    parts = [f"### DiartBench\n\n**{_text(doc['answer'])}**"]
    if doc["gate"] is not None:
        parts.append(_table(tables.gate(doc)))
    parts.append(_table(_short(doc)))
    if doc["history"]:
        parts.append(_against_the_last(doc))
    if not all(v["trained"] for v in doc["variants"]):
        parts.append("\\* untrained: only its cost means anything.")
    skip = {"paper", "training", "history"} | ({"gate"} if doc["gate"] is not None else set())
    lines = [sentence for topic, sentence in doc["missing"].items() if topic not in skip]
    lines += [note for note in doc["notes"] if not note.startswith("* ")]
    shown = [f"- {_text(line)}" for line in lines[:NOTES]]
    if len(lines) > NOTES:
        shown.append(f"- and {len(lines) - NOTES} more, on the page")
    parts.append("\n".join(shown))
    if found := doc["conditions"]:
        where = (
            f"{found['machine'].get('cpu')}, threads: {found['threads']}; {found['embedding']}, {found['segmentation']}"
        )
        parts.append(_text(f"Measured {tables.when(doc)} on {where}."))
    parts.append(f"Plots, all tables and the paper's claims: `{PAGE}` beside this file; figures: `{RESULTS}`.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _against_the_last(doc: Json) -> str:
    """This run's pipeline ratios beside those of the latest stored run."""
    run, table = doc["history"][-1], tables.history(doc, 1)
    rows = [row for row in table.rows if row[3] != "–"]  # what was measured now
    rows = [row for row in rows if row[1] == "pipeline"] or rows
    why = f" No verdict, measured under other conditions: {'; '.join(run['differing'])}." if run["differing"] else ""
    return _text(f"Against the run before.{why}") + "\n\n" + _table(replace(table, rows=rows))


def _short(doc: Json) -> tables.Table:
    """One line per variant."""
    rows = []
    for v in doc["variants"]:
        latency, accuracy = v["latency"], v["accuracy"] or {}
        pipeline = latency.get("pipeline") or {}
        rows.append([
            tables.name(v), tables.interval((latency.get("model-only") or {}).get("to_baseline")),
            tables.interval(pipeline.get("to_baseline")), pipeline.get("verdict", "–"),
            tables.der(doc, accuracy), tables.points(accuracy.get("increase")),
            tables.number(v["size_mib"]), tables.number(v["memory_mib"], 1),
        ])  # fmt: skip
    columns = ["variant", "model-only, % of baseline [95 %]", "pipeline, % of baseline [95 %]", "pipeline", "DER, %",
               "DER change [95 %]", "MiB", "memory, MiB"]  # fmt: skip
    return tables.Table("", columns, rows, frozenset({"pipeline"}))


def _table(table: tables.Table) -> str:
    sides = ["---" if i == 0 or column in table.text else "---:" for i, column in enumerate(table.columns)]
    head = [list(table.columns), sides]
    rows = [[_text(cell, NAME) for cell in row] for row in table.rows[:ROWS]]
    more = [[f"and {len(table.rows) - ROWS} more", *([""] * (len(sides) - 1))]] if len(table.rows) > ROWS else []
    return "\n".join("| " + " | ".join(row) + " |" for row in [*head, *rows, *more])


def _text(text: str, limit: int = SENTENCE) -> str:
    """Text that GitHub's Markdown shows as it is: no markup, no table cell's end, no mention of anybody."""
    text = " ".join(printable(text.replace("\n", " ")).split())
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    text = re.sub(r"(@|#|://|www\.)(?=\w)", "\\1\N{WORD JOINER}", text)
    unsafe = r"\](?=[(:\[])|[^\w \-–…±%@.,:;()\[\]+/='’\N{WORD JOINER}]|_"
    return re.sub(unsafe, lambda match: f"&#{ord(match[0])};", text)
