"""Whether what a run folder says of its records is what they give: its reports, recomputed and compared."""
