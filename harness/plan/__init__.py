"""Plans a suite: turns it into a list of items without loading weights."""
