"""The command line: thin verbs, and what they print."""
