"""What a model can be shown: text, pair, chat, image, audio. They are known before any that a plugin brings."""

from . import inputs as inputs
