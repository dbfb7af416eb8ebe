"""One module per kind of backend."""
