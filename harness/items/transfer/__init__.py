"""Transfer: the twins that fooled one model, shown to another."""
