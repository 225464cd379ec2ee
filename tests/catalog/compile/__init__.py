"""Composing graphs ahead of time."""
