"""How long a silence ends an utterance: the default, and what a setting or a call may ask for. Pure."""

ENDPOINT_MS = 600
"""Silence that ends an utterance, unless a call asks for another …"""
MIN_ENDPOINT_MS, MAX_ENDPOINT_MS = 100, 10_000
"""… between these."""
