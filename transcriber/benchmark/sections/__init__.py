"""The sections of `transcriber bench`, each with a `measure` that takes a Plan and returns a report."""
