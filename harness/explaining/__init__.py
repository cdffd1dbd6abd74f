"""Attributions: made, scored beside their controls, and joined with answers and adversarial twins."""
