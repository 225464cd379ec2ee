"""Figures: each script measures two things side by side in one run. `python -m bench.NAME --help`."""
