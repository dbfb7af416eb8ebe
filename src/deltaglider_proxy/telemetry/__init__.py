"""Clock, worker pool, background tasks, metrics and logs: what every layer may use."""
