"""What runs in the child processes that hold models and decode: no part of the server imports from here but `protocol`.

`model_process` loads a model once and forks workers; `decoding_loop` is what a worker does.
"""
