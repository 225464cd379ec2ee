"""The proof kit behind `transcriber bench`: what this machine, this model and this service really do.

One file a section (`parity`, `accuracy`, `cost`, `capacity`, `latency`, `memory`); below them `plan` (what is asked),
`material` (audio), `service` and `peer` (who is called), `bare` (the library alone), `crowd` (many calls), `heard`
(what came back, and when), `finding` (what is reported). Nothing here writes on the console.
"""
