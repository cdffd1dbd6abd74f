"""Word reliance: which words carry predictions, and what is left without them."""
