"""Encoder-decoders that write text (T5, BART, Marian, mBART, Pegasus, M2M100): generation, and log-likelihoods of targets."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

from transformers import AutoModelForSeq2SeqLM, GenerationConfig

from ...api.errors import SampleError
from ...api.model import Pass
from ...api.requests import Generate, LogLikelihood, Request
from ...api.responses import Completion, LogProb, Response
from ..causal.generation_state import Prompt
from ..checkpoint.tokens import check_tokens, list_ends
from ..common.extras import is_installed
from ..common.text_prompts import require_text
from ..seq2seq.decoding import choose_decoding, describe_decoding
from ..seq2seq.passes import EncoderDecoder, Target, fill_passes
from ..seq2seq.reader import SourceAndTarget
from ..torch.flops import count_flops_per_token
from ..torch.signature import choose_ordinary_ids
from .checkpoint_model import HFTextModel
from .seq2seq_gradients import Seq2SeqGradients
from .source import HuggingFace


class HFSeq2SeqLM(HFTextModel):
    """Answers `LogLikelihood` (the context is the source, the continuation a beginning of the target) and `Generate`."""

    needs_offsets = False

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForSeq2SeqLM)
        generation = self.module.generation_config
        self.ends = list_ends(generation.eos_token_id, self.config.eos_token_id, self.tokenizer.eos_token_id)
        first = generation.decoder_start_token_id
        self.reader = SourceAndTarget(
            self.tokenizer, prefix=source.prefix, max_length=self.max_length, name=self.name,
            languages=(source.source_language, source.target_language),
            forced=generation.forced_bos_token_id,
            decoder_start=first if first is not None else self.config.decoder_start_token_id,
        )  # fmt: skip
        decoding = choose_decoding(
            generation, beams=source.beams, forced=self.reader.forced, start=self.reader.start[0], pad=self.pad, ends=self.ends
        )
        # `generate` fills in settings of the module's own that differ from the usual ones.
        self.module.generation_config = GenerationConfig()
        self.has_beams = decoding.num_beams > 1
        self.notes += (
            describe_decoding(decoding),
            *self._describe_prefixes(source),
            *_describe_punctuation(self.tokenizer),
            *check_tokens(self.tokenizer, self.module, self.name, self.pad),
        )
        self._build_passes = lambda module: EncoderDecoder(
            module, self.tokenizer, self.name, start=self.reader.start, decoding=decoding, ends=self.ends, rounded=source.rounded
        )
        self.passes = self._build_passes(self.module)
        self.takes_padding = self.passes.measure_padding(choose_ordinary_ids(self.module, self.tokenizer, 16))
        self._encoder_flops = count_flops_per_token(self.module.get_encoder())
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    def _describe_prefixes(self, source: HuggingFace) -> tuple[str, ...]:
        tasks = getattr(self.config, "task_specific_params", None) or {}
        prefixes = [str(settings["prefix"]) for settings in tasks.values() if isinstance(settings, dict) and settings.get("prefix")]
        if source.prefix or not prefixes:
            return ()
        return (f"no prefix is set; its config names {', '.join(map(repr, prefixes[:4]))} (the model setting prefix)",)

    def randomised(self, seed: int, share: float = 1.0, /) -> Self | None:
        """Return the model with random weights in its last layers, a control for attributions; None if they are quantised."""
        twin = super().randomised(seed, share)
        if twin is not None:
            twin.passes = twin._build_passes(twin.module)
        return twin

    def differentiable(self) -> Seq2SeqGradients:
        return Seq2SeqGradients(self)

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, requests: Sequence[Request[Response]], /) -> None:
        """Tokenise the texts of the requests at once."""
        sources, targets = [], []
        for request in requests:
            with suppress(SampleError):  # an input that is no text fails in `split`
                if isinstance(request, LogLikelihood):
                    sources.append(require_text(request.context))
                    targets.append(request.continuation)
                elif isinstance(request, Generate):
                    sources.append(require_text(request.prompt))
        self.reader.window(sources, targets)

    def split(self, request: Request[Response], /) -> Sequence[Target | Prompt]:
        if isinstance(request, LogLikelihood):
            return (self.scored(request),)
        assert isinstance(request, Generate)
        if request.max_tokens < 1 or not 0 <= request.temperature < math.inf:
            raise SampleError(
                f"max_tokens must be at least 1 and temperature at least 0, not {request.max_tokens} and {request.temperature}"
            )
        if request.max_tokens >= self.max_length:
            raise SampleError(
                f"max_tokens {request.max_tokens} leaves no room in the {self.max_length} positions of the decoder; set fewer"
            )
        source = self.reader.source(require_text(request.prompt))
        return (Prompt(list(source.ids), request, source.num_truncated),)

    def scored(self, request: LogLikelihood) -> Target:
        """Tokenise the source and the target. The target begins a text of its own, so the delimiter is left out."""
        ids = self.reader.target(request.written(is_answer=True))
        if len(ids) > self.max_length - len(self.reader.start):
            raise SampleError(f"the continuation has {len(ids):,} tokens, but the decoder takes only {self.max_length:,}")
        return Target(self.reader.source(require_text(request.context)), ids)

    def batch_key(self, unit: Target | Prompt, /) -> Hashable:
        """Group by the source's length if padding affects the model, and by the answer's if beams stop by it."""
        source = unit.source.ids if isinstance(unit, Target) else unit.ids
        most = unit.request.max_tokens if isinstance(unit, Prompt) and self.has_beams else None
        return (None if self.takes_padding else len(source), most)

    def length(self, unit: Target | Prompt, /) -> int:
        return len(unit.source.ids) + len(unit.ids) if isinstance(unit, Target) else len(unit.ids) + unit.request.max_tokens

    def flops(self, unit: Target | Prompt, positions: int, /) -> int:
        """Count the source's positions with the encoder's weights, the others with those of the decoder."""
        read = len(unit.source.ids) if isinstance(unit, Target) else len(unit.ids)
        return read * self._encoder_flops + max(0, positions - read) * (self.flops_per_token - self._encoder_flops)

    # ── units to answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self, unit: Target | Prompt, /) -> bool:
        return isinstance(unit, Target) and self.takes_padding

    def stream(self, units: Sequence[Target], tokens: int, rows: int, /) -> Iterator[Pass]:
        """Score targets in passes in which those of one source share its encoding."""
        for places in fill_passes(units, tokens, rows):
            batch = [units[place] for place in places]
            answers = self.passes.score(batch)
            sources = {unit.source for unit in batch}
            read, written = sum(len(source.ids) for source in sources), sum(len(unit.ids) for unit in batch)
            flops = read * self._encoder_flops + written * (self.flops_per_token - self._encoder_flops)
            yield Pass(read + written, list(zip(places, answers, strict=True)), flops)

    def loglikelihood(self, batch: Sequence[Target]) -> list[LogProb]:
        return self.passes.score(batch)

    def generate(self, batch: Sequence[Prompt]) -> list[Completion]:
        return self.passes.generate(batch)


def _describe_punctuation(tokenizer: Any) -> tuple[str, ...]:
    """Return a note if Marian's tokenizer reads punctuation as it is, because the package that normalises it is missing."""
    if type(tokenizer).__name__ != "MarianTokenizer" or is_installed("sacremoses"):
        return ()
    return ("its tokenizer does not normalise punctuation, as in training, without sacremoses: pip install 'windtunnel[text]'",)
