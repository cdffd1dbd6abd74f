"""The worst case of a task: what withstands every attack that keeps to a threat."""
