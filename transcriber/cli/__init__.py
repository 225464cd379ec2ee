"""The command line: one module a command, listed in `main`; those of `transcriber models` in `models/`.

Shared by commands: `command` (how one is declared), `arguments` and `setting_flags`, `http_client` and `event_follower`
(a server's API), `server_store` (its Redis), `call_player`, and what is shown: `terminal_text`, `caption_display`,
`event_display`, `check_report`. A command parses, calls another room, and prints; it decides nothing.
"""
