"""What earlier proxies and their client stored: read exactly, deleted, never written."""
