"""The S3 protocol as plain functions on bytes and values: no sockets, no event loop."""
