"""The process: memory allocator, interrupts, offline switch, quiet imports, sequences on disk."""
