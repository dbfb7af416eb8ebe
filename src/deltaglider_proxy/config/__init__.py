"""Typed settings from file, environment and flags; the only reader of the environment."""
