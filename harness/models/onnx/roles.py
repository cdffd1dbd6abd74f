"""What each input and the output of an ONNX graph means, from the graph's own names, types and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...api.errors import ConfigError, ModelError, suggest_name
from .graph import Graph, Tensor

IDS, MASK, TYPES, POSITIONS, PIXELS = "input_ids", "attention_mask", "token_type_ids", "position_ids", "pixel_values"
_ROLES = (IDS, MASK, TYPES, POSITIONS, PIXELS)
_ALIASES = {"input_mask": MASK, "segment_ids": TYPES}
"""Names that older exports use."""
CLASSIFY, EMBED = "classify", "embed"
_SENTENCES = ("sentence_embedding", "last_hidden_state", "token_embeddings")
"""Outputs of text encoders, the one that needs no pooling first."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The inputs of a graph by their meaning, and the output that is read.

    answers: ``classify`` or ``embed``.
    """

    inputs: Mapping[str, Tensor]
    output: Tensor
    answers: str

    @property
    def is_image(self) -> bool:
        return PIXELS in self.inputs


def read_roles(
    graph: Graph, target: str, *, inputs: Mapping[str, str], output: str | None, answers: str | None, architectures: Sequence[str]
) -> Roles:
    """Determine the roles of a graph's inputs and output.

    target: the model, for errors.
    inputs: meanings that the user gives, by the name of the input.
    output: name of the output to read, if the user gives it.
    answers: ``classify`` or ``embed``, if the user gives it.
    architectures: those of the checkpoint's configuration.
    Raises `UserError` for inputs or outputs that cannot be used, with the setting that fixes it.
    """
    found = _read_inputs(graph, target, inputs)
    kind = answers or _read_answers(graph, target, architectures, output)
    chosen = _choose_output(graph, target, output, kind)
    if kind == EMBED and PIXELS in found:
        raise ModelError(f"{target!r} takes images, and only classes of images are read; set answers: classify if its output has classes")
    ranks = (2,) if kind == CLASSIFY else (2, 3)
    if chosen.rank is not None and chosen.rank not in ranks:
        wanted = "class scores [batch, classes]" if kind == CLASSIFY else "vectors [batch, size] or [batch, tokens, size]"
        raise ModelError(
            f"the output {chosen} of {target!r} is not {wanted}; choose another with the model setting output (it has "
            f"{', '.join(map(str, graph.outputs))}), or set answers"
        )
    return Roles(found, chosen, kind)


def _read_inputs(graph: Graph, target: str, given: Mapping[str, str]) -> dict[str, Tensor]:
    names = [one.name for one in graph.inputs]
    shown = ", ".join(map(str, graph.inputs))
    for name, role in given.items():
        if name not in names:
            raise ConfigError(f"inputs: {target!r} has no input {name!r}.{suggest_name(name, names)} It has {shown}")
        if role not in _ROLES:
            raise ConfigError(f"inputs: {role!r} has no meaning.{suggest_name(role, _ROLES)} An input can be {', '.join(_ROLES)}")
    meanings = {name: given.get(name) or _ALIASES.get(name, name) for name in names}
    if len(names) == 1 and not given and meanings[names[0]] not in _ROLES:
        meanings[names[0]] = _guess_only_input(graph.inputs[0]) or names[0]
    unknown = [one for one in graph.inputs if meanings[one.name] not in _ROLES]
    if unknown:
        raise ModelError(
            f"{target!r} takes the input {unknown[0]}, whose meaning is unknown. Name it with the model setting inputs: "
            f"{{{unknown[0].name}: MEANING}}, where MEANING is {', '.join(_ROLES[:-1])} or {PIXELS}; a graph with further inputs "
            "can be wrapped in a Python function: callable:FILE.py:function"
        )
    found = {meanings[one.name]: one for one in graph.inputs}
    if len(found) < len(names) or (IDS in found) == (PIXELS in found) or (PIXELS in found and len(found) > 1):
        raise ModelError(
            f"{target!r} takes {shown}; a graph must take {IDS} of texts (and one {MASK}, {TYPES}, {POSITIONS} at most) or {PIXELS} of "
            "images. Correct the model setting inputs"
        )
    return found


def _guess_only_input(one: Tensor) -> str | None:
    if one.rank == 4:
        return PIXELS
    return IDS if one.rank == 2 and one.dtype.startswith("int") else None


def _read_answers(graph: Graph, target: str, architectures: Sequence[str], output: str | None) -> str:
    for name in architectures:
        if name.endswith(("SequenceClassification", "ImageClassification")):
            return CLASSIFY
        if name.endswith("Model") and not name.endswith("LMHeadModel"):
            return EMBED
        raise ModelError(
            f"{target!r} was exported from a {name}; this adapter reads text and image classifiers and text encoders. Give the checkpoint "
            "that it was exported from (hf:FOLDER), or a Python function: callable:FILE.py:function"
        )
    names = [one.name for one in graph.outputs if output in (None, one.name)]
    first = next((one for one in graph.outputs if output in (None, one.name)), graph.outputs[0])
    return EMBED if first.rank == 3 or (set(names) & set(_SENTENCES) and "logits" not in names) else CLASSIFY


def _choose_output(graph: Graph, target: str, output: str | None, kind: str) -> Tensor:
    known = {one.name: one for one in graph.outputs}
    if output is not None:
        if output not in known:
            raise ConfigError(
                f"output: {target!r} has no output {output!r}.{suggest_name(output, known)} It has {', '.join(map(str, graph.outputs))}"
            )
        return known[output]
    wanted = ("logits",) if kind == CLASSIFY else _SENTENCES
    return next((known[name] for name in wanted if name in known), graph.outputs[0])
