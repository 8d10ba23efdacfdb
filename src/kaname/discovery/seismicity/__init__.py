"""Statistics of catalogues, ETAS and its rivals, and tests that do not cheat."""
