"""DER on conversations simulated from real speech, where there is any: a folder of it in DIARTBENCH_SPEECH."""

import argparse
import os
from pathlib import Path

import pytest
from pyannote.core import Annotation
from pyannote.metrics.diarization import DiarizationErrorRate

from bench.corpus.simulation import simulate
from bench.run.options import add_options, parse
from bench.run.run import Run

BOUND = 30.0  # %; the model card has 17.1 on ten longer conversations


@pytest.mark.slow
def test_the_embedding_tells_real_voices_apart(tmp_path: Path) -> None:
    speech = os.environ.get("DIARTBENCH_SPEECH")
    if not speech:
        pytest.skip("DIARTBENCH_SPEECH names no folder of single-speaker speech")
    list(simulate(Path(speech), tmp_path / "talk", conversations=3, duration=20, speakers=(2, 3), seed=1))
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    given = parser.parse_args(["--corpus", str(tmp_path / "talk"), "--segmentation", "oracle", "--accuracy", "full"])
    run = Run(parse(lambda name: getattr(given, name)), ["baseline"], tmp_path, lambda *_: None)
    run.prepare(timed=False)
    metric = DiarizationErrorRate()
    for recording in run.corpus.recordings:
        assert recording.reference is not None
        same = Annotation(recording.name)
        for turn in recording.reference.get_timeline().support():
            same[turn] = "everybody"
        metric(recording.reference, same, uem=recording.uem)
    assert 100 * abs(metric) > BOUND, "one name for all voices would pass"
    der = run.scores.accuracy["baseline"].der
    assert der is not None and der < BOUND, f"DER {der} % with oracle segmentation"
