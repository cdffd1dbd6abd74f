"""How faithful an attribution is, a file a score."""
