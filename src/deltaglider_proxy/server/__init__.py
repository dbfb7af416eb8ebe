"""The composition root: reads settings, builds backends, engine, access and the ASGI application."""
