"""Deltaspaces, references, put, get, list, delete: everything between S3 and storage."""
