"""Models behind an endpoint: OpenAI's interface, which most servers speak, and Anthropic's."""
