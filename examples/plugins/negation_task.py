"""Test whether a sentiment model understands "not", with generated samples and a custom score."""

from windtunnel import Classify, Sample, Task, plugin


@plugin("tasks", "negation")
class Negation(Task):
    name, primary, metrics = "negation", "acc", ("acc",)
    requires = frozenset({"classify", "text"})
    labels = ("negative", "positive")

    def samples(self):
        for i, word in enumerate(("good", "great", "lovely", "perfect")):
            yield Sample(f"{i}:plain", f"It was {word}.", 1, self.labels, group=word)
            yield Sample(f"{i}:negated", f"It was not {word}.", 0, self.labels, group=word)

    def requests(self, sample):
        return [Classify(sample.input, sample.labels)]

    def score(self, sample, responses):
        negative, positive = responses[0].values
        return {"acc": float((positive > negative) == sample.target)}


# mypy: ignore-errors
