"""Server-Sent Events: what a reader asks for (`resume`), the answer's frames (`response`), one call's events.

The routes that answer with them are in `routes/call_events`.
"""
