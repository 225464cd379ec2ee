"""Redis itself: clients for a URL, what they raise as StoreError, rights, databases, and the private redis-server.

What is stored, and under which keys, lives a level above.
"""
