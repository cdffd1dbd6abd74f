"""The worst case of a task: the samples that withstand every attack within a threat."""
