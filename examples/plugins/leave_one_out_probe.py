"""Measure how far the predicted class's logit falls without each word (Li, Monroe, Jurafsky 2016, arXiv:1612.08220)."""

import numpy as np
from windtunnel import Attribution, Classify, Probe, plugin, word_spans


@plugin("probes", "leave_one_out")
class LeaveOneOut(Probe):
    requires = frozenset({"classify", "text"})

    def attribute(self, engine, samples):
        batches = [[Classify(s.input[:a] + s.input[b:], s.labels) for a, b in ((0, 0), *word_spans(s.input))] for s in samples]
        answers = iter(engine.run([request for requests in batches for request in requests]))
        for sample, requests in zip(samples, batches, strict=True):
            full, *rest = (np.array(next(answers).values) for _ in requests)
            yield Attribution(sample.id, int(full.argmax()), [(full - r)[full.argmax()] for r in rest], word_spans(sample.input))


# mypy: ignore-errors
