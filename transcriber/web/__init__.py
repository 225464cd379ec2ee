"""HTTP and WebSocket: aiohttp lives here and in the command line, nowhere else."""
