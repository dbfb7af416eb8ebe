"""Health, readiness, stats and metrics: plain ASGI under /_/."""
