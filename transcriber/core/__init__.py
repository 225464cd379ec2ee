"""The pure core: no asyncio, threads, clock, files, sockets or engine in here. Data in, data out."""
