"""The settings of a server and of every command: read once, validated once, unknown names refused.

`definition` is what others use: `Settings`, `load_settings`. It reads through `sources` (file, environment, flags;
`secret_file`, `service_links`) and `values` (what a text means). Beside them, what the web and the webhooks need of a
setting's meaning: `api_keys`, `local_key`, `host_address`, `web_origin`, `signing_secret`, `endpoint_limits`.
"""
