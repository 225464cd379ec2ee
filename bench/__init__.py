"""What `transcriber bench` does not measure, two things side by side: `python -m bench.NAME --help`; and `peer`."""
