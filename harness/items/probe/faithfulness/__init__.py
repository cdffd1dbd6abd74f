"""Scores of attributions: faithfulness, plausibility and similarity, one module per group of scores."""
