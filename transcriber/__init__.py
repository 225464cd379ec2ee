"""Transcriber: self-hosted, real-time transcription of telephone calls.

A module whose docstring says "Pure." only computes: it has no tasks, threads, clock, files or sockets.
"""

__version__ = "0.1.0"
