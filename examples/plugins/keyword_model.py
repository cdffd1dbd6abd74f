"""A text classifier that counts one word. A model needs one method per kind of request, named after the kind."""

from windtunnel import Logits, ModelInfo, plugin


@plugin("models", "keyword")
class Keyword:
    def __init__(self, target):
        self.word = target
        self.name = self.fingerprint = f"keyword:{target}"

    def inspect(self):
        return ModelInfo({"classify": {"text"}}, labels=("negative", "positive"))

    def load(self, device, dtype):
        return self

    def classify(self, batch):
        return [Logits((0.0, request.input.lower().count(self.word) - 0.5)) for request in batch]


# mypy: ignore-errors
