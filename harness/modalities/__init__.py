"""Modalities of model inputs: text, pair, chat, image and audio. They are registered before those of plugins."""

from . import inputs as inputs
