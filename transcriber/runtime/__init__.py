"""What process and event loop need, whatever runs on them: allocator and matrix kernels, tasks, child processes.

`background` and `cancellation` begin and end tasks, `time_slices` keeps long work from holding the loop, and
`child_process` runs another program. Nothing here knows of calls, models or Redis.
"""
