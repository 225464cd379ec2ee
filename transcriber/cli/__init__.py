"""The command line, one file a command; the composition root, the only place that names adapters."""
