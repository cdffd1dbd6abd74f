"""Threat models: what an attacker may change. Each answers for itself, on the two inputs alone, whatever the attack claims."""

from .choosing import Threats, threat_of
from .described import described, holds, is_bounded, title_of
from .edit_budget import EditBudget, levenshtein
from .lp_ball import LpBall, is_within
from .prompts import AnyPrompt, SuffixBudget

__all__ = [
    "AnyPrompt", "EditBudget", "LpBall", "SuffixBudget", "Threats", "described", "holds", "is_bounded", "is_within", "levenshtein",
    "threat_of", "title_of",
]  # fmt: skip
