"""The report as a reader has it: the page in a real browser, the summary as Markdown, the files on disk."""

import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from test_document import FIRST, OTHER, fewer_resamples, made, scored  # noqa: F401 - a fixture

from bench.__main__ import main
from bench.report import page as page_module
from bench.report.document import document, past
from bench.report.figures import SMALLEST, plots, who_spoke_when
from bench.report.page import PAGE, RESULTS, SUMMARY, check_folder, page, summary, write
from bench.report.stored import read
from variants import UserError

pytestmark = pytest.mark.usefixtures("fewer_resamples")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PLOTS = {"pareto", "distributions", "stages", "footprint", "creep", "history", "timeline"}
HOSTILE = "<script>alert(1)</script>|`*@everyone* $x^{$ \x1b[31m"
IMAGE = "<img src=x onerror=console.error(document.title)>"
GATE = [{"variant": HOSTILE, "kind": "DER", "change": 1.0, "low": 0.5, "high": None, "verdict": IMAGE}]

# Runs inside the page: where every figure lies, how much of it is drawn, the smallest print, what overflows.
PROBE = """<script>addEventListener("load", () => {
  const figures = [...document.querySelectorAll("figure img")].map(image => {
    const canvas = document.createElement("canvas"), box = image.getBoundingClientRect();
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let ink = 0;
    for (let i = 3; i < pixels.length; i += 4) ink += pixels[i] > 64;
    return {name: image.closest("figure").id, width: box.width, height: box.height, alt: image.alt,
            scale: box.width / image.naturalWidth, narrow: image.naturalWidth < 500, ink: ink / pixels.length * 4};
  });
  const words = [...document.body.querySelectorAll("*")].filter(e => e.tagName !== "SCRIPT" &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  parent.postMessage({width: innerWidth, figures, scripts: document.scripts.length, images: document.images.length,
    scrolling: [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth).length,
    overflow: document.documentElement.scrollWidth - innerWidth, text: document.body.innerText,
    print: Math.min(...words.map(e => parseFloat(getComputedStyle(e).fontSize)))}, "*");
});</script>"""
FRAMES = """<!doctype html><script>const seen = []; addEventListener("message", event => {
  seen.push(event.data); document.getElementById("seen").textContent = JSON.stringify(seen);
});</script><pre id="seen"></pre>"""


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    """Every plot of the hostile run."""
    return plots(hostile())


def hostile() -> dict[str, Any]:
    """A whole run in which a variant, a file, a speaker and a stored run have names that attack."""
    findings = made()
    turns = tuple((start, end, f"</text><script>{speaker}</script>") for start, end, speaker in OTHER)

    def renamed(named: Any) -> Any:
        return {HOSTILE if name == "distilled" else name: value for name, value in named.items()}

    accuracy = {
        name: replace(found, files=(replace(found.files[0], name=IMAGE), found.files[1]))
        for name, found in renamed({**findings.accuracy, "distilled": scored(6, turns)}).items()
    }
    conditions = {**findings.conditions, "scored_on": [IMAGE], "embedding": "</style>" + HOSTILE}
    kinds = {name: replace(kind, latencies=renamed(kind.latencies)) for name, kind in findings.kinds.items()}
    sizes, memory, trained = (renamed(x) for x in (findings.sizes, findings.memory, findings.trained))
    findings = replace(
        findings, kinds=kinds, accuracy=accuracy, conditions=conditions, sizes=sizes, memory=memory, trained=trained,
        references={}, notes=[IMAGE], broken={HOSTILE + "2": IMAGE},
    )  # fmt: skip
    older = document(findings, "2025-01-01")
    return document(findings, "2026-01-02T03:04:05", [past(older, IMAGE), past(read(FIRST), "first")], GATE)


def browse(folder: Path, pages: dict[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What the probe saw of each page at 1280 and at 400 pixels, and what all of them said on the console.

    Each page is also opened as it is, with its ban on scripts, which the probe has to lift.
    """
    frames = []
    for name, text in pages.items():
        policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)
        assert policy is not None and "script" not in policy[0]
        (folder / f"{name}.html").write_text(text)
        (folder / f"{name}-probed.html").write_text(text.replace(policy[0], "") + PROBE)
        frames += [(f"{name}-probed.html", 1280), (f"{name}-probed.html", 400), (f"{name}.html", 400)]
    tags = "".join(
        f'<iframe src="{name}" style="width:{width}px;height:900px;border:0"></iframe>' for name, width in frames
    )
    (folder / "frames.html").write_text(FRAMES + tags)
    result = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", "--enable-logging=stderr",
            "--virtual-time-budget=20000", "--dump-dom", (folder / "frames.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    seen = re.search(r'<pre id="seen">(.*?)</pre>', result.stdout, re.DOTALL)
    assert seen is not None and seen[1], result.stderr[-2000:]
    return json.loads(html.unescape(seen[1])), [line for line in result.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_in_a_real_browser(tmp_path: Path, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    partial = document(made(kinds={"model-only": made().kinds["model-only"]}, accuracy={}, memory={}), "2026-01-02")
    pages = {"partial": page(partial)}
    monkeypatch.setattr(page_module, "plots", lambda doc: {})
    pages["third"] = page(read(FIRST.with_name("0003_third.json")))
    monkeypatch.setattr(page_module, "plots", lambda doc: drawn)
    seen, console = browse(tmp_path, {**pages, "whole": page(hostile())})
    assert console == []
    assert sorted(view["width"] for view in seen) == [400, 400, 400, 1280, 1280, 1280]
    for view in seen:
        if "distilled-pruned-unstructured" in view["text"] and not view["figures"]:  # the README's run
            assert view["overflow"] <= 0 and (view["width"] == 400 or view["scrolling"] == 0)
            continue
        whole = len(view["figures"]) == 7
        assert {figure["name"] for figure in view["figures"]} == {
            f"figure-{name}" for name in (PLOTS if whole else {"distributions", "footprint", "creep"})
        }
        for figure in view["figures"]:
            assert figure["height"] > 80 and figure["ink"] > 0.005, figure["name"]  # drawn, not blank
            assert figure["narrow"] == (view["width"] == 400)
            assert figure["scale"] * SMALLEST / 0.75 >= 10.5  # pixels of its smallest print
            assert 350 < figure["width"] <= view["width"] and len(figure["alt"]) > 40
        assert view["overflow"] <= 0 and view["print"] >= 13
        assert view["scripts"] == 1  # the probe
        assert view["images"] == len(view["figures"])
        if whole:
            assert "<script>alert(1)</script>|`*@everyone* $x^{$ \N{REPLACEMENT CHARACTER}[31m" in view["text"]
            assert view["text"].count(IMAGE) >= 4 and "</style><script>" in view["text"]
        else:
            assert "pipeline latency was not measured" in view["text"] and "Accuracy was not scored" in view["text"]


def test_svg_prints_in_no_smaller_type_and_holds_no_markup(drawn: dict[str, Any]) -> None:
    assert set(drawn) == PLOTS
    for plot in drawn.values():
        for uri in (plot.wide, plot.narrow):
            svg = base64.b64decode(uri.partition(",")[2]).decode()
            tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
            assert tags <= {"svg", "metadata", "defs", "style", "g", "path", "use", "clipPath", "rect", "RDF", "Work",
                            "type", "format", "creator", "Agent", "title"}  # fmt: skip
            sizes = [float(size) * 100 for size in re.findall(r"scale\(([\d.]+) -[\d.]+\)", svg)]
            assert sizes and min(sizes) >= SMALLEST - 0.01


def test_of_a_long_file_the_timeline_shows_where_variants_part() -> None:
    said = tuple((10.0 * i, 10.0 * i + 8, "ab"[i % 2]) for i in range(60))
    other = (*said[:30], (303.0, 308.0, "a"), *said[31:])
    findings = made(accuracy={"baseline": scored(5, said), "distilled": scored(6, other)}, references={"talk": OTHER})
    found = who_spoke_when(document(findings, "now"))
    assert found is not None and "Shown are 290 to 410 s of 598." in found.caption


def test_the_page_fetches_nothing_and_has_real_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "plots", lambda doc: {})
    text = page(hostile())
    links = re.findall(r'(?:src|href|srcset|url)\s*[=(]\s*"?([^">)\s]+)', text)
    assert links and all(link.startswith("#") or link in ("x",) for link in links if "onerror" not in link)
    assert "<script" not in text and "<img" not in text
    assert text.count("<table>") == text.count("<caption>") == text.count("</table>") == 12
    cells = re.search(r'<th scope="row"><span>baseline-twin</span></th>(.*?)</tr>', text, re.DOTALL)
    assert cells is not None and "100.0 [100.0, 100.0]" in cells[1] and "control" in cells[1]
    assert text.index('class="answer"') < text.index("<table>")


def test_every_sentence_on_what_is_missing_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "plots", lambda doc: {})
    for changes in ({"kinds": {}}, {"accuracy": {}, "memory": {}}, {"conditions": {}, "sizes": {}}):
        doc = document(made(**changes), "now")
        text = html.unescape(page(doc))
        assert all(sentence in text for sentence in doc["missing"].values())


def test_summary_is_short_and_says_the_answer() -> None:
    text = summary(document(made(), "2026-01-02T03:04:05", [past(read(FIRST), "first")]))
    lines = text.splitlines()
    assert len(lines) < 60 and lines[2].startswith("**None within tolerance")
    row = next(line for line in lines if line.startswith("| distilled"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "distilled &#42;", "90.0 [90.0, 90.0]", "90.0 [90.0, 90.0]", "faster", "18.00", "+2.00 [+1.50, +2.50]",
        "16.62", "80.5",
    ]  # fmt: skip
    assert "The gate did not run." in text and "2026-01-02 03:04 on Test CPU" in text
    assert "No verdict, measured under other conditions: CPU: Intel" in text
    assert "| baseline-twin | pipeline | 95.2 [92.0, 98.6] | 100.0 [100.0, 100.0] | – |" in text


def test_summary_keeps_hostile_names_text_and_fits_a_comment() -> None:
    doc = hostile()
    text = summary(doc)
    assert not re.search(r"<|(?<!\\)`(?!index|results|\.)(?! )[^`]*script|@everyone", text.replace(f"`{PAGE}`", ""))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} <= {6, 7, 9}  # no cell was broken by a name
    many = [{**doc["variants"][2], "name": "<" * 5000} for _ in range(500)]
    doc |= {"variants": many, "notes": [HOSTILE * 500] * 500, "answer": "|" * 9000, "gate": GATE * 500}
    assert len(summary(doc)) < 65_536


def test_links_mentions_and_references_stay_text() -> None:
    shown = page_module._text("see [me](http://evil.example) @octocat #12 www.evil.example a_b_c")
    assert "](" not in shown and "http://e" not in shown and "@o" not in shown and "#1" not in shown
    assert "www.e" not in shown and "_" not in shown


def test_files_are_written_whole_and_for_all_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "plots", lambda doc: {})
    doc = document(made(), "2026")
    assert write(doc, tmp_path / "new/folder") == tmp_path / "new/folder" / PAGE
    assert {path.name for path in (tmp_path / "new/folder").iterdir()} == {PAGE, SUMMARY, RESULTS}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in (tmp_path / "new/folder").iterdir())
    assert read(tmp_path / "new/folder" / RESULTS) == doc

    def fail(doc: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr(page_module, "plots", fail)
    before = (tmp_path / "new/folder" / PAGE).read_text()
    with pytest.raises(OSError, match="disk full"):
        write({**doc, "made": "2027"}, tmp_path / "new/folder")
    assert (tmp_path / "new/folder" / PAGE).read_text() == before
    assert len(list((tmp_path / "new/folder").iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file/below", Path("/proc/report")):
        with pytest.raises(UserError, match=re.escape(str(folder))):
            check_folder(folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_report_command(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "plots", lambda doc: {})
    doc = document(made(), "2026-12-01")
    (tmp_path / "results.json").write_text(json.dumps(doc))
    assert main(["report", str(FIRST), str(tmp_path / "results.json")]) == 0
    assert "Against the run before" in capsys.readouterr().out
    assert main(["report", str(FIRST), str(tmp_path / "results.json"), "--out", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / RESULTS).read_text())
    assert [run["label"] for run in written["history"]] == ["0001_first"] and "history" not in written["missing"]
    assert capsys.readouterr().out == f"report: {tmp_path / 'out' / PAGE}\n"
    assert main(["report", str(tmp_path / "none.json")]) == 1
    assert main(["report", str(FIRST), "--out", str(tmp_path / "results.json")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "none.json: No such file" in lines[0] and "results.json: File exists" in lines[1]
