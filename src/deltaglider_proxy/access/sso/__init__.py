"""Signing in through a provider: who joins which group."""
