"""Where bytes live: the Backend protocol and its implementations; knows nothing of deltas."""
