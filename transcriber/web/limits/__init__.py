"""How much clients may ask for: requests, event streams, long reads, connections and time.

Who they are is decided in `access`; `transport` applies the limits of connections.
"""
