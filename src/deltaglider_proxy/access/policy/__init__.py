"""Rules of users and groups: checking, compiling and evaluating them. Pure functions on values."""
