"""Transfer: the successful twins of one model, scored on another."""
