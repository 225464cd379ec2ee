"""The composition root: a whole server, put together from its settings and taken apart again.

`process` serves until a signal ends it; `server` names the parts in the order in which they need each other: `storage`
(Redis and the outbox), `recognition` and `model_loader`, `listeners` (sockets), `readiness` (what /readyz says). The
command line and the tests use `server.running`. No part does its own work here.
"""
