"""The process that `bench.run.cold` starts and times: nothing heavy is imported before `main`."""

import json
import os
import sys
import time
import warnings


def main() -> None:
    """Take an order from standard input, and write to standard output when each stage was over."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not get into the answer
    sys.settrace(None)  # coverage tools that follow into every process must not be timed
    warnings.simplefilter("ignore")
    order = json.loads(sys.stdin.read())
    moments = {"begin": order["begin"]}

    import diart.models  # noqa: F401
    import numpy as np
    from diart import SpeakerDiarization  # noqa: F401
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    import variants
    from bench.pipeline.staged import StagedPipeline

    from .cores import Cores
    from .models import Models
    from .options import chosen, parse

    moments["import"] = time.perf_counter()
    try:
        values, name = order["values"], order["name"]
        chosen(values.__getitem__)  # by which the user's own models are known, too
        options = parse(values.__getitem__)
        Cores(options.timing.threads).claim()
        embedding, segmentation = Models(options.models, options.pipeline.duration, [name]).alone(name)
        lean = variants.get(name).segmentation is not None
        staged = StagedPipeline(options.pipeline, segmentation, variants.as_embedding_model(embedding), lean)
        staged.reset()
        moments["load"] = time.perf_counter()
        samples = np.load(order["chunk"], allow_pickle=False)
        staged(SlidingWindowFeature(samples, SlidingWindow(start=0.0, duration=1 / 16000, step=1 / 16000)))
        moments["first chunk"] = time.perf_counter()
    except variants.UserError as error:
        sys.exit(str(error))
    print(json.dumps(moments), file=channel, flush=True)
