"""How the tables came to be, step by step: each release finds what an earlier one has left, and brings it up."""
