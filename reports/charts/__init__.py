"""The charts of the scorecard's page, drawn as SVG. One file per chart."""
