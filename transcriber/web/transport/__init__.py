"""Connections below HTTP: TLS and its certificate, which connections are cut, and whose address is whose.

`server.listeners` opens the sockets; requests are answered in `routes`.
"""
