"""What all kinds of items share: the planned item, the base class of kinds, an item while it runs, its results."""
