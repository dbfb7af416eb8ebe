"""S3 services made by others, for tests, and a proxy in front of them that breaks what passes."""
