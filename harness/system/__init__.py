"""The process: its memory, its interrupts, the offline switch, quiet imports, lists on disk."""
