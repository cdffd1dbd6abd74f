"""Fast passes of encoder classifiers, which compute only the positions that are used."""
