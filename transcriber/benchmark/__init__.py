"""What `transcriber bench` measures: what this machine, this model and this service really do.

One module a section in `sections/` (`parity`, `accuracy`, `cost`, `capacity`, `latency`, `memory`); each takes a `Plan`
(what is to be measured) and returns a `SectionReport`. Below them: `material` (the audio that is played),
`system_under_test` (the port to a server; `transcriber_service` and `vosk_server_peer` implement it), `bare_vosk` (the
library alone), `load` (many calls at once), `call_result` (what came back of one, and when), `machine` and `chart`. The
command line uses the sections; nothing here writes on the console.
"""
