"""Who did what, when and from where, in a log that shows when somebody has changed it."""
