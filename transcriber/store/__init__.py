"""Everything that is kept in Redis: calls and their events, indexes, leases, tickets, and what is being published.

`RedisStore` (`redis_store`) is the face: its `event_log` writes streams, `history` reads, searches and deletes calls,
`feed` follows what is published, `tickets` lets streams in. Others see the protocols in `ports`. A call's record is its
hash and its stream; indexes only lead to it and can be made anew. How Redis is reached lives in `redis`, full text in
`search`. What waits for a Redis that is away does not live here but in `outbox`.
"""
