"""Objects as files in a directory tree of the host."""
