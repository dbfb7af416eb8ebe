"""Pure functions on bytes: containers, windows, deltas."""
