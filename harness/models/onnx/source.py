"""``onnx``: graphs in the ONNX format that classify texts or images, or embed texts."""

from __future__ import annotations

from ...api.errors import ConfigError, ModelError
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ...identity.digests import digest_file, digest_parts
from ...identity.libraries import answer_code, list_versions
from ..checkpoint.files import read_json
from ..checkpoint.head import MULTI, Head, read_head
from ..checkpoint.settings import settle_config
from ..common.extras import require_extra
from ..common.fingerprint import list_checkpoint_parts
from ..common.outputs import KINDS, Outputs
from .files import Export, find_folder, find_graph
from .graph import read_graph
from .roles import CLASSIFY, EMBED, read_roles

_LIBRARIES = ("onnxruntime", "numpy", "torch", "torchvision", "transformers", "tokenizers", "pillow")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
_INSTEAD = (
    "give the checkpoint that it was exported from (hf: or torch:), or use attacks that only ask for answers (deepwordbug, square) "
    "and probes that remove parts (occlusion, lime)"
)


class Onnx(ModelSource):
    """A graph in the ONNX format, run by ONNX Runtime. It has no gradients.

    The meaning of its inputs and its output is told from their names, types and shapes. Texts are read with the tokenizer in its
    folder, images with the processor there; without a processor, the graph gets pixels in [0, 1]. Labels come from ``config.json``.

    target: a file ``.onnx``, or a folder with one, in itself or in its subfolder ``onnx``. Weights in a second file lie beside it.
    checkpoint: the folder with ``config.json`` and tokenizer or processor, if not that of the graph or the one above.
    inputs: the meaning of inputs with other names: ``{INPUT: input_ids}``, or attention_mask, token_type_ids, position_ids,
        pixel_values.
    output: name of the output to read; by default ``logits``, or the first one.
    answers: ``classify`` or ``embed``; by default told from the configuration and the output.
    labels: class names in the order of the scores, if the configuration has none.
    outputs: the scores of a classifier: ``logits``, ``probabilities``, or ``auto``: probabilities if rows are between 0 and 1
        and sum to 1. By default ``logits`` for checkpoints of transformers, else ``auto``.
    problem_type: ``single_label_classification`` or ``multi_label_classification``, if missing or wrong in the configuration.
    positive_label: for labels that do not exclude each other, the one to classify.
    max_length: maximum number of tokens, instead of the tokenizer's limit.
    pad_token: padding token, for tokenizers without one.
    size: [height, width] to which images are resized if there is no processor, and the graph takes any size.
    providers: execution providers of ONNX Runtime, the first that works for a node counts; by default CUDA or CPU, by the device.
    """

    def __init__(
        self,
        target: str,
        *,
        checkpoint: str | None = None,
        inputs: dict[str, str] | None = None,
        output: str | None = None,
        answers: str | None = None,
        labels: list[str] | None = None,
        outputs: str | None = None,
        problem_type: str | None = None,
        positive_label: str | None = None,
        max_length: int | None = None,
        pad_token: str | None = None,
        size: list[int] | None = None,
        providers: list[str] | None = None,
    ) -> None:
        if answers not in (None, CLASSIFY, EMBED):
            raise ConfigError(f"answers must be {CLASSIFY} or {EMBED}, not {answers!r}")
        if outputs not in (None, *KINDS):
            raise ConfigError(f"outputs must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {outputs!r}")
        if max_length is not None and max_length < 1:
            raise ConfigError(f"max_length must be at least 1, not {max_length}")
        if size is not None and len(size) != 2:
            raise ConfigError(f"size must be [height, width], not {size}")
        self.target, self.checkpoint = target, checkpoint
        self.inputs, self.output, self.answers = dict(inputs or {}), output, answers
        self.labels, self.outputs, self.problem_type, self.positive_label = labels, outputs, problem_type, positive_label
        self.max_length, self.pad_token, self.size, self.providers = max_length, pad_token, size, providers

    def inspect(self) -> ModelInfo:
        export = self.open_export()
        instead = {"gradients": _INSTEAD, "attention": _INSTEAD}
        if export.roles.answers == EMBED:
            return ModelInfo({EMBED: {"text"}}, instead=instead)
        head = self.read_head(export)
        modalities = {"image"} if export.roles.is_image else {"text", "pair"}
        return ModelInfo({CLASSIFY: modalities}, labels=head.labels, notes=head.notes, is_multi_label=head.is_multi_label, instead=instead)

    def load(self, device: str, dtype: str, /) -> Model:
        export = self.open_export()
        if export.roles.answers == EMBED:
            from .text_encoder import OnnxEncoder

            return OnnxEncoder(self, export, device, dtype)
        if export.roles.is_image:
            from .image_classifier import OnnxImageClassifier

            return OnnxImageClassifier(self, export, device, dtype)
        from .text_classifier import OnnxTextClassifier

        return OnnxTextClassifier(self, export, device, dtype)

    def open_export(self) -> Export:
        """Read the graph's inputs and output and the files beside it, without weights. Raises `UserError`."""
        require_extra("onnxruntime", f"onnx:{self.target}", "onnx")
        path = find_graph(self.target)
        folder = find_folder(path, self.checkpoint)
        graph, config = read_graph(path), read_json(folder / "config.json") or {}
        roles = read_roles(
            graph, self.target, inputs=self.inputs, output=self.output, answers=self.answers,
            architectures=tuple(map(str, config.get("architectures") or ())),
        )  # fmt: skip
        if not roles.is_image and not any((folder / name).is_file() for name in _TOKENIZERS):
            raise ModelError(
                f"{str(folder)!r} has no tokenizer, with which the texts for {self.target!r} are read; save it there with "
                "save_pretrained, or name its folder with the model setting checkpoint"
            )
        return Export(path, folder, graph, config, roles)

    def read_head(self, export: Export, /) -> Head:
        """Read the classes of a classifier. Raises `UserError` if the output has another number of scores."""
        head = Head(tuple(map(str, self.labels or ())), self.problem_type == MULTI)
        if export.has_classes:
            from transformers import PretrainedConfig

            config = PretrainedConfig.from_dict(dict(export.config))
            settle_config(config, export.config)
            head = read_head(config, self.target, labels=self.labels, problem_type=self.problem_type, positive_label=self.positive_label)
        num = export.roles.output.size(1)
        expected = len(head.labels) if head.column is None else len(export.config.get("id2label") or ())
        if num is not None and expected and num != expected and (num, expected) != (1, 2):
            raise ModelError(
                f"the output {export.roles.output} of {self.target!r} has {num} scores, and there are {expected} labels; correct the "
                "model setting labels, choose another output, or correct its config.json"
            )
        return head

    def make_outputs(self, export: Export, head: Head, /) -> Outputs:
        """Create the conversion of the graph's scores to logits."""
        kind = self.outputs or ("logits" if export.has_classes else "auto")
        return Outputs(self.target, kind, head.is_multi_label or head.column is not None)

    def fingerprint(self, export: Export, /, *facts: object) -> str:
        """Return a digest of the graph, its weights, the files that prepare inputs, the settings and the libraries."""
        files = [export.path, *(export.path.parent / name for name in export.graph.data_files)]
        beside = [line for line in list_checkpoint_parts(export.folder) if ".safetensors " not in line]
        settings = sorted((name, repr(value)) for name, value in vars(self).items() if name not in ("target", "checkpoint"))
        libraries = sorted(list_versions(_LIBRARIES).items())
        return digest_parts([*map(digest_file, files), *beside], (*facts, settings, libraries, answer_code()))
