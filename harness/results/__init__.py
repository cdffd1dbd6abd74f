"""A run folder to a scorecard, to frames, to reports."""
