"""The HTTP and WebSocket side of a server: routes, who may use them, limits, Server-Sent Events, the page.

`server` makes the application (`app.create_app`) over its `Services` and accepts connections (`transport`). aiohttp is
used here and where something dials. What a call says and where it is kept is not known here: `calls` and `store` are.
"""
