"""``sklearn``: fitted pipelines of scikit-learn that classify."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...api.errors import ConfigError, ModelError
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ...identity.digests import digest_file, digest_parts
from ...identity.libraries import answer_code, list_versions
from ..common.extras import require_extra
from ..python.callable import Callable

_INPUTS = ("text", "image")
_PICKLES = (".joblib", ".pkl", ".pickle")
_LIBRARIES = ("scikit-learn", "skops", "joblib", "numpy", "scipy")
_PICKLED = "its file is a pickle, whose code was run (trust_pickle)"


class Sklearn(ModelSource):
    """A fitted classifier or pipeline of scikit-learn, saved with skops.

    Texts are given as strings, images as rows of their pixels in [0, 1]. Its scores are ``predict_proba``, or else
    ``decision_function``. It has no gradients.

    target: a file that ``skops.io.dump`` wrote.
    input: ``text`` or ``image``.
    trusted: names of types in the file that skops does not know, and that you have checked.
    trust_pickle: also read ``.joblib`` and ``.pkl`` files, which run any code that they hold; noted on the scorecard.
    labels: class names in the order of ``classes_``, if these are numbers.
    """

    def __init__(
        self,
        target: str,
        *,
        input: str = "text",
        trusted: list[str] | None = None,
        trust_pickle: bool = False,
        labels: list[str] | None = None,
    ) -> None:
        if input not in _INPUTS:
            raise ConfigError(f"input must be {' or '.join(_INPUTS)}, not {input!r}")
        self.target, self.input, self.trusted, self.trust_pickle = target, input, list(trusted or ()), trust_pickle
        self.labels = labels
        self._is_compared = False

    def inspect(self) -> ModelInfo:
        notes = (_PICKLED,) if self._path.suffix in _PICKLES else ()
        instead = "attacks that only ask for answers (deepwordbug, square) and probes that remove parts (occlusion, lime) need none"
        return ModelInfo({"classify": {self.input}}, labels=self._names, notes=notes, instead={"gradients": instead, "attention": instead})

    def load(self, device: str, dtype: str, /) -> Model:
        outputs = "probabilities" if self._has_probabilities else "logits"
        source = Callable(self._score, input=self.input, outputs=outputs, labels=list(self._names), version="1")
        self._source = source
        model = source.load(device, dtype)
        model.name = self.target
        libraries = sorted(list_versions(_LIBRARIES).items())
        model.fingerprint = digest_parts((digest_file(self._path),), (self.input, self._names, libraries, answer_code()))
        return model

    def _score(self, values: list[Any]) -> np.ndarray:
        inputs = values if self.input == "text" else np.stack([_flatten(pixels) for pixels in values])
        give = self._pipeline.predict_proba if self._has_probabilities else self._pipeline.decision_function
        scores = np.asarray(give(inputs))
        if scores.shape[1:] not in ((), (1,), (len(self._names),)) or (self._has_probabilities and abs(scores.sum(1) - 1).max() > 0.01):
            raise ModelError(
                f"{self.target!r} gives scores {list(scores.shape)} that are not those of {len(self._names)} classes of which one holds; "
                "wrap it in a Python function: callable:FILE.py:function (several labels: with multi_label: true)"
            )
        if not self._is_compared:
            self._is_compared = True
            self._compare(inputs, scores)
        return scores[:, None] if scores.ndim == 1 else scores

    def _compare(self, inputs: Any, scores: np.ndarray) -> None:
        """Note predictions that are not the class of the largest score: some classifiers decide by a threshold of their own."""
        chosen = scores.argmax(1) if scores.ndim == 2 and scores.shape[1] > 1 else (scores.ravel() > 0).astype(int)
        num = int((np.asarray(self._pipeline.predict(inputs)) != np.asarray(self._pipeline.classes_)[chosen]).sum())
        if num:
            note = f"its predict() gives another class than its scores for {num} of the first {len(chosen)} inputs; the scores count"
            self._source.own_notes = (note,)

    @cached_property
    def _path(self) -> Path:
        """The file. Raises `ModelError` if there is none, or if it is a pickle that is not trusted."""
        path = Path(self.target).expanduser()
        if not path.is_file():
            raise ModelError(f"there is no file {self.target!r}; save the fitted pipeline with skops.io.dump(pipeline, FILE)")
        if path.suffix in _PICKLES and not self.trust_pickle:
            raise ModelError(
                f"{self.target!r} is a pickle, which can run any code when it is read. Save the pipeline with "
                "skops.io.dump(pipeline, FILE), or set trust_pickle: true if you made the file yourself"
            )
        return path

    @cached_property
    def _pipeline(self) -> Any:
        """The fitted pipeline. Raises `ModelError` for a file that cannot be read, or that holds no classifier."""
        try:
            pipeline = self._read()
        except ModelError:
            raise
        except Exception as error:  # the libraries may raise anything for a broken file
            raise ModelError(f"{self.target!r} cannot be read: {type(error).__name__}: {error}") from error
        scores = hasattr(pipeline, "predict_proba") or hasattr(pipeline, "decision_function")
        if not scores or not hasattr(pipeline, "classes_"):
            raise ModelError(
                f"{self.target!r} holds a {type(pipeline).__name__}, which is no fitted classifier with predict_proba or "
                "decision_function; wrap others in a Python function: callable:FILE.py:function"
            )
        return pipeline

    def _read(self) -> Any:
        if self._path.suffix in _PICKLES:
            import joblib

            return joblib.load(self._path)
        require_extra("skops", f"sklearn:{self.target}", "sklearn")
        from skops import io

        if unknown := [name for name in io.get_untrusted_types(file=self._path) if name not in self.trusted]:
            raise ModelError(
                f"{self.target!r} holds types that skops does not know: {', '.join(unknown)}. Check them, and name them with the "
                f"model setting trusted: [{', '.join(unknown)}]"
            )
        return io.load(self._path, trusted=self.trusted)

    @cached_property
    def _has_probabilities(self) -> bool:
        return hasattr(self._pipeline, "predict_proba")

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The class names. Raises `ModelError` for several outputs, or if ``labels`` has another number of them."""
        if isinstance(self._pipeline.classes_, list):
            raise ModelError(f"{self.target!r} has several outputs per input; wrap it in a Python function: callable:FILE.py:function")
        names = tuple(map(str, self._pipeline.classes_))
        if self.labels is not None and len(self.labels) != len(names):
            raise ModelError(f"{self.target!r} has {len(names)} classes ({', '.join(names)}), but 'labels' names {len(self.labels)}")
        return tuple(map(str, self.labels or names))


def _flatten(pixels_HWC: np.ndarray) -> np.ndarray:
    scaled = pixels_HWC / 255 if pixels_HWC.dtype == np.uint8 else pixels_HWC
    return np.asarray(scaled, dtype=np.float64).ravel()
