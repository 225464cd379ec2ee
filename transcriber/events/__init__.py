"""What is published of a call: the events, how they are made from a stream's facts, and how a transcript is written.

`calls` makes events with `factory`; `store`, `outbox`, `webhooks`, `web` and `cli` read them with `schema`; `captions`
and `conversation` write transcripts. Where events are kept is in `store`, how they get there in `outbox`.
"""
