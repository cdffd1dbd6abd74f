"""Vectors of texts: inputs to OpenAI's ``/embeddings``, and vectors back."""

from __future__ import annotations

from typing import Any

from ...api.errors import SampleError
from ...api.requests import Embed, Request
from ...api.responses import Response, ServedEmbedding
from ..common.text_prompts import require_text
from .chat import make_arguments
from .contents import refuse_surrogates
from .faults import Transient
from .reading import Json, check_model
from .usage import read_usage
from .wire import Wire


class EmbeddingsWire(Wire):
    """Sends the texts of `Embed` requests."""

    path = "/embeddings"

    def write(self, request: Request[Response]) -> Json:
        assert isinstance(request, Embed)
        if request.layer != -1:
            raise SampleError(f"an endpoint gives the vectors of the last layer (-1), not of layer {request.layer}")
        text = require_text(request.input)
        refuse_surrogates(text)
        return self.adapt({"model": self.settings.target, "input": text, "encoding_format": "float"})

    def send(self, client: Any, body: Json) -> Any:
        return client.embeddings.with_raw_response.create(**make_arguments(body, "model", "input", "encoding_format"))

    def read(self, answer: Json, request: Request[Response], body: Json) -> ServedEmbedding:
        check_model(answer, self.dialect.served)
        data = answer.get("data")
        vector = data[0].get("embedding") if isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict) else None
        if not isinstance(vector, list) or not vector or not all(isinstance(v, int | float) for v in vector):
            raise Transient("the answer has no vector of numbers")
        return ServedEmbedding(tuple(map(float, vector)), usage=read_usage(answer, body, "", self.settings.price))
