"""What nodes with a database each have in common: read as plain rows, merged by three, written back."""
