"""Redis: names, the atomic outlet, the archive, the live feed, tickets, and a private server."""
