"""One module per command: printing and exit codes, no logic that a server would need too."""
