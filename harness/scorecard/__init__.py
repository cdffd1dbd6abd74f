"""Records to rows, the names of all rows, and gates: no model from here on."""
