"""Users and what belongs to them as a document: taken from a database, and merged into one."""
