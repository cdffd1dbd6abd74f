"""The commands that install optional parts. Errors name them where a part is missing."""

from __future__ import annotations

TEXT_ATTACKS = "pip install 'windtunnel[text-attacks]' && pip install --no-deps textattack==0.3.11"
"""TextAttack comes without its requirements, because one of them, flair, requires transformers below 5."""

ENDPOINTS = "pip install 'windtunnel[endpoints]'"
"""The clients of `openai:` and `anthropic:`, and tenacity, which repeats their requests."""
