"""What the command line prints: a plan, a plugin, a scorecard, progress."""
