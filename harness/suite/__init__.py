"""A suite file to a frozen value; errors have its line."""
