"""Records to the rows of a scorecard, a file a kind of item."""
