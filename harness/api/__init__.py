"""What the author of a plugin imports: facts, requests, protocols, errors, the registry."""
