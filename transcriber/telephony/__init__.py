"""How calls reach a server and how it answers: the wire, without sockets.

Others use `media_stream` (text messages to audio and `outcomes`), `twilio` (messages, signatures, REST API) and
`simulator` (a client that dials as a carrier does). Sockets are in `web`, what becomes of a stream in `calls`.
"""
