"""Transcriber: self-hosted, real-time transcription of telephone calls."""

__version__ = "0.1.0"
