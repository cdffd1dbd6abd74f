"""The sections of the scorecard's page, as data for its templates. One file per section."""
