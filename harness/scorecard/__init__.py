"""Computes the rows of a scorecard from records, defines their names, and checks gates. Nothing here runs a model."""
