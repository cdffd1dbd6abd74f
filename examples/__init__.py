"""Examples: the demo, ready suites, and plugins to copy."""
