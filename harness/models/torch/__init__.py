"""What all torch models share, and modules of a user's own."""
