"""From a track's audio to words: voice activity detection, endpointing, decoding, partial and final results.

Others use `service` (a stream's recognition), `supervisor` (a queue per track, worker processes), `model_registry`,
`capacity`, `options`, and the results of `utterance_tracker`. Speech engines stand behind `ports`; only `vosk_engine`
knows Vosk. Results become events in `events.factory`; which models there are is known to `catalog`.
"""
