"""Who may use what: API keys and roles, Twilio's signature, tickets, and programs of this machine.

`authorization` guards the HTTP API, `twilio_requests` webhooks and media sockets; `socket_credentials` says what a
media socket showed before its start. How often somebody may ask is in `limits`.
"""
