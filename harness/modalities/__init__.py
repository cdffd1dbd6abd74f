"""What a model can be shown: text, pair, chat, image, audio."""
