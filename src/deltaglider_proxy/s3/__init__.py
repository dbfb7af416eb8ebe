"""The S3 data plane: request, operation, response; no knowledge of storage."""
