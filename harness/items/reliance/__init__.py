"""Word reliance: finds the words that carry predictions, and measures the accuracy without them."""
