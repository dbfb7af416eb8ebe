"""Passwords, sealed secrets and keys: what other layers use of cryptography, and nothing they could use wrongly."""
