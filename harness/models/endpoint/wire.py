"""The base class of wires: how requests of the harness travel to one path of a service and back."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from ...api.requests import Request
from ...api.responses import Response
from .dialect import Dialect
from .reading import Json
from .settings import Settings


class Wire:
    """Base class of wires.

    path: the path of the service, for messages.
    """

    path: ClassVar[str]

    def __init__(self, settings: Settings, dialect: Dialect) -> None:
        self.settings, self.dialect = settings, dialect

    @abstractmethod
    def write(self, request: Request[Response]) -> Json:
        """Return the body of a request. Raises `SampleError` if it cannot be sent."""
        raise NotImplementedError

    @abstractmethod
    def send(self, client: Any, body: Json) -> Any:
        """Send a body, and return the client's raw response."""
        raise NotImplementedError

    @abstractmethod
    def read(self, answer: Json, request: Request[Response], body: Json) -> Response:
        """Return the response in an answer to a body. Raises `Transient` for an answer of a wrong shape, and `Withheld` for none."""
        raise NotImplementedError

    def is_token(self, event: Json) -> bool:
        """Tell whether an event of a stream brings text."""
        return False

    def merge(self, events: list[Json]) -> Json:
        """Join the events of a stream to the JSON of a whole answer."""
        raise NotImplementedError

    def adapt(self, body: Json) -> Json:
        """Return a body as the server accepts it, with the setting ``extra``."""
        return self.dialect.adapt(body) | dict(self.settings.extra)
