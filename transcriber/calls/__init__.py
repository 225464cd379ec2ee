"""Live calls: the sessions of their streams, who may start one, and the metrics about them.

`server` makes the `SessionManager`; `web` asks its `admission` and hands it the streams that Twilio opens. What a
stream says on the wire is in `telephony`, how it is recognised in `recognition`, where its events go in `outbox`.
"""
