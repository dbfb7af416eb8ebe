"""Full backups: the archive, and what restoring one does."""
