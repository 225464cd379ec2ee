"""The server's side of decoding in worker processes: who starts them, gives them tracks, and goes on when one dies.

All of it belongs to the event loop's thread, and nothing of it waits for a worker.
"""
