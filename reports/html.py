"""``scorecard.html``: the scorecard as a self-contained page."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ..harness.api.errors import ConfigError
from ..harness.api.report import Report
from ..harness.api.scorecard import Scorecard
from ..harness.api.visible_text import make_visible
from . import display
from .explorer import LEVELS
from .page.cards import make_cards
from .page.comparison import is_comparison, make_board, make_comparisons
from .page.dimensions import make_dimensions
from .page.gates import make_tables, read_gates
from .page.methods import list_methods
from .page.provenance import make_provenance
from .page.rows import Subject
from .page.tables import Glossary
from .page.verdict import QUESTION, make_verdict
from .sample_pack import pack_samples

_NAME_LIMIT = 2_000
_STYLES = ("scorecard.css", "explorer.css")
_SCRIPTS = ("folds.js", "samples.js", "drawing.js", "sample.js", "export.js", "explorer.js")
_SAMPLES = "\x00samples\x00"
"""The place of the samples in the rendered template. No text of a scorecard can equal it: it would be made visible."""


class Html(Report):
    """Write the scorecard as one self-contained page, with an explorer of its samples; or comparisons without a run.

    All text in a scorecard is hostile. The templates escape every value; samples are compressed JSON that the
    script only puts into text nodes; the page's policy allows only its own script and style sheet, by their hashes.

    max_mb: the largest size of the page in megabytes. If not all samples fit, it keeps those that failed, then those
        that flipped (under an attack, or against the baseline), then wrong ones, then others of all classes and slices.
    """

    suffix = "scorecard.html"

    def __init__(self, *, max_mb: float = 25.0) -> None:
        if not 1 <= max_mb <= 1_000:
            raise ConfigError(f"max_mb is the largest size of the page in megabytes, 1 to 1000, not {max_mb!r}", argument="max_mb")
        self._most_bytes = int(max_mb * 1e6)

    def render(self, scorecard: Scorecard, /) -> str:
        style = "\n".join(map(_read_asset, _STYLES))
        # One block: the scripts share names, and leave none on the window.
        scripts = _SCRIPTS[:1] if is_comparison(scorecard) else _SCRIPTS
        script = '"use strict";\n{\n' + "\n".join(map(_read_asset, scripts)) + "}\n"
        environment = Environment(
            loader=FunctionLoader(_read_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
            keep_trailing_newline=True, finalize=_finalize,
        )  # fmt: skip
        environment.globals["show"] = display
        page = environment.get_template("scorecard.html.j2").render(
            card=scorecard, policy=_make_policy(style, script), style=style, script=script, samples=_SAMPLES,
            levels=LEVELS, **_make_sections(scorecard),
        )  # fmt: skip
        before, place, after = page.partition(_SAMPLES)
        if not place:
            return page
        size = sum(len(part.encode("utf-8", "backslashreplace")) for part in (before, after))
        return pack_samples(scorecard.samples, self._most_bytes - size).join((before, after))


def _make_sections(scorecard: Scorecard) -> dict[str, Any]:
    """Return the data of each section, by the name that the templates use."""
    readings = read_gates(scorecard)
    subject = Subject(scorecard, readings)
    glossary = Glossary(scorecard.measures, "help")
    models = make_cards(subject, glossary)
    dimensions = make_dimensions(subject, glossary)
    comparisons = make_comparisons(subject, glossary)
    if is_comparison(scorecard):
        anchors = [(f"comparison-{place}", found.title) for place, found in enumerate(comparisons, 1)]
        return {
            "title": "Comparison", "verdict": None, "board": make_board(subject, glossary), "comparisons": comparisons,
            "helps": list(glossary.helps.values()), "sections": anchors,
        }  # fmt: skip
    words = {"verdict": "Verdict", "models": models and "Models", "gates": "Gates", "dimensions": dimensions and "Dimensions",
             "comparison": comparisons and "Comparison",
             "explorer": "Samples", "provenance": "Provenance"}  # fmt: skip
    return {
        "title": display.describe_verdict(scorecard.verdict)[0], "board": None,
        "question": QUESTION, "verdict": make_verdict(subject), "models": models, "gate_tables": make_tables(readings),
        "dimensions": dimensions, "comparisons": comparisons, "provenance": make_provenance(subject),
        "methods": list_methods(scorecard.measures),
        "helps": list(glossary.helps.values()), "sections": [(anchor, word) for anchor, word in words.items() if word],
    }  # fmt: skip


def _read_asset(name: str) -> str:
    """Return the text of a file in ``assets``."""
    return (files(__package__) / "assets" / name).read_text("utf-8")


def _make_policy(style: str, script: str) -> str:
    """Return the page's Content Security Policy, which allows only this style, this script and data images."""
    allowed = (f"style-src {_hash(style)}", f"script-src {_hash(script)}", "img-src data:", "media-src data:")
    return "; ".join(("default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"))


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _finalize(value: Any) -> Any:
    """Make text visible and clip it. Markup that the template marks as safe is unchanged."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return display.clip(make_visible(value), _NAME_LIMIT)
    return value
