"""Threat models: what an attacker may change. Each checks the two inputs itself, whatever the attack claims."""

from .build import Threats, build_threat
from .describe import describe_threat, is_bounded, is_wider, title_of
from .edit_budget import EditBudget, levenshtein
from .lp_ball import LpBall, is_within
from .prompts import AnyPrompt, SuffixBudget

__all__ = [
    "AnyPrompt",
    "EditBudget",
    "LpBall",
    "SuffixBudget",
    "Threats",
    "build_threat",
    "describe_threat",
    "is_bounded",
    "is_wider",
    "is_within",
    "levenshtein",
    "title_of",
]  # fmt: skip
