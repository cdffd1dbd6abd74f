"""Keras 3 models and TensorFlow SavedModels, on the backend that computes them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...api.errors import ModelError
from ...system.interrupts import is_interrupt
from ..common.encoding import join_arguments, split_arguments
from .bridged_module import Array, BridgedModule, EmbeddingFirst, Program, Weights
from .keras_call import EMBEDDED, KerasCall


def load_keras(path: Path, backend: str, embedding: str | None = None, /) -> torch.nn.Module:
    """Load a Keras file (.keras, .h5) in safe mode, which refuses layers with Python code.

    path: the file. backend: ``torch``, ``tensorflow`` or ``jax``. embedding: name of the layer that embeds tokens, by whose output the
    module is then differentiable. Raises `ModelError` if the file cannot be loaded, or has no such layer.
    """
    keras = _import_keras(backend)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ModelError(f"{path} cannot be loaded by Keras in safe mode: {_shorten(error)}{_advise(error)}") from error
    call = KerasCall(model, embedding, str(path))
    if backend == "torch":
        module: torch.nn.Module = _OnTorch(call)
    else:
        module = BridgedModule(_make_jax_program(call) if backend == "jax" else _OnTensorflow(call))
    return module if embedding is None else EmbeddingFirst(module, torch.tensor(call.read_embeddings()), EMBEDDED)


def load_saved_model(path: Path, /) -> torch.nn.Module:
    """Load the serving function of a TensorFlow SavedModel. path: its folder. Raises `ModelError` if it cannot be loaded."""
    import tensorflow

    try:
        loaded = tensorflow.saved_model.load(str(path))
        function = loaded.signatures["serving_default"]
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ModelError(f"{path} has no function 'serving_default' that TensorFlow can load: {_shorten(error)}") from error
    return BridgedModule(_SavedModel(loaded, function))


class _OnTorch(torch.nn.Module):
    """A Keras model on the torch backend, which is a torch module itself."""

    def __init__(self, call: KerasCall) -> None:
        super().__init__()
        self.model, self._call = call.model, call

    def forward(self, *places: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self._call(join_arguments(places, named))
        return scores


def _make_jax_program(call: KerasCall) -> Program:
    """Return the program of a Keras model on the JAX backend."""
    from .jax_program import JaxProgram, nest

    model = call.model
    paths = _name_weights(model.trainable_variables)
    others = [variable.value for variable in model.non_trainable_variables]

    def apply(parameters: Any, *places: Any, **named: Any) -> Any:
        scores, _ = call(join_arguments(places, named), partial(model.stateless_call, _collect(parameters, paths), others))
        return scores

    return JaxProgram(apply, nest({path: v.value for path, v in zip(paths, model.trainable_variables, strict=True)}))


def _collect(nested: Any, paths: Sequence[str]) -> list[Any]:
    """Return the values of nested dicts at these paths."""
    return [reduce(getitem, path.split("."), nested) for path in paths]


class _TensorflowProgram(Program):
    """A function on TensorFlow variables, which hold the weights of the last pass."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self._variables = variables
        self._held: Weights | None = None

    def read_weights(self) -> Weights:
        return {path: variable.numpy() for path, variable in self._variables.items()}

    def apply(self, inputs: Mapping[str, Any]) -> Any:
        """Return the scores of tensors."""
        raise NotImplementedError

    def run(self, weights: Weights, inputs: Mapping[str, Array], /) -> Array:
        import tensorflow

        self._hold(weights)
        return np.asarray(self.apply({name: tensorflow.convert_to_tensor(each) for name, each in inputs.items()}))

    def pull_back(self, weights: Weights, inputs: Mapping[str, Array], by: str, cotangents: Array, /) -> Array:
        import tensorflow

        self._hold(weights)
        given = {name: tensorflow.convert_to_tensor(each) for name, each in inputs.items()}
        with tensorflow.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(given[by])
            scores = self.apply(given)
        return np.asarray(tape.gradient(scores, given[by], output_gradients=tensorflow.convert_to_tensor(cotangents)))

    def _hold(self, weights: Weights) -> None:
        if weights is not self._held:
            for path, variable in self._variables.items():
                variable.assign(weights[path])
            self._held = weights


class _OnTensorflow(_TensorflowProgram):
    """A Keras model on the TensorFlow backend."""

    def __init__(self, call: KerasCall) -> None:
        variables = call.model.trainable_variables
        super().__init__(dict(zip(_name_weights(variables), variables, strict=True)))
        self._call = call

    def apply(self, inputs: Mapping[str, Any]) -> Any:
        return self._call(inputs)


class _SavedModel(_TensorflowProgram):
    """The serving function of a SavedModel. loaded: keeps its variables alive."""

    def __init__(self, loaded: Any, function: Any) -> None:
        super().__init__({_name_variable(variable): variable for variable in function.trainable_variables})
        self._loaded, self._function = loaded, function
        self._names = list(function.structured_input_signature[1])

    def apply(self, inputs: Mapping[str, Any]) -> Any:
        places, named = split_arguments(inputs)
        outputs = self._function(**dict(zip(self._names, places, strict=False)), **named)
        if len(outputs) != 1:
            raise ModelError(
                f"the function 'serving_default' has {len(outputs)} outputs ({', '.join(outputs)}); export one with one output"
            )
        (scores,) = outputs.values()
        return scores


def _name_weights(variables: Sequence[Any]) -> list[str]:
    """Return the path of each Keras variable with dots. Layers of two inner models may share a path, so that repetitions get a number."""
    seen: Counter[str] = Counter()
    names = []
    for variable in variables:
        path = str(variable.path).replace(".", "_").replace("/", ".")
        seen[path] += 1
        names.append(path if seen[path] == 1 else f"{path}_{seen[path]}")
    return names


def _name_variable(variable: Any) -> str:
    """Return the path of a TensorFlow variable with dots."""
    return str(variable.name).partition(":")[0].replace(".", "_").replace("/", ".")


def _import_keras(backend: str) -> Any:
    """Import Keras with a backend, which is fixed for the process. Raises `ModelError` if another one is in use."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
    import keras

    if keras.backend.backend() != backend:
        raise ModelError(
            f"Keras runs on {keras.backend.backend()!r} in this process and cannot change to {backend!r}; give all Keras models of a suite "
            "the same 'backend', or run them in suites of their own"
        )
    return keras


def _shorten(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _advise(error: BaseException) -> str:
    text = str(error).lower()
    if "lambda" in text:
        return ". A Lambda layer holds Python code, which is never run; replace it with a layer of Keras and save the file again"
    if "custom" in text or "could not locate class" in text:
        return ". Custom layers are code; use 'callable:' or 'torch:' with a function that builds the model"
    return ""
