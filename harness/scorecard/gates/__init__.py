"""Gates: conditions on the rows of a scorecard that decide the exit code."""

from __future__ import annotations

from .check import check_gate, check_gates, list_cautions
from .entries import load_gates, parse_entry, read_argument
from .gate import Gate
from .judgement import Judgement
from .shortfall import explain_shortfall, lacks_scores, require_scores
from .verdict import decide_verdict, exit_code, rate_gate

__all__ = [
    "Gate",
    "Judgement",
    "check_gate",
    "check_gates",
    "decide_verdict",
    "exit_code",
    "explain_shortfall",
    "lacks_scores",
    "list_cautions",
    "load_gates",
    "parse_entry",
    "rate_gate",
    "read_argument",
    "require_scores",
]
