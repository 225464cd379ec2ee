"""The way of a live stream's events and audio from its session to Redis, whatever becomes of Redis or the process.

`Outbox.open_stream` gives a session an `EventSink` (`ports`), which never makes it wait. Behind it a `StreamPublisher`
writes in order and once; what waits lies in a `StreamSpool`, audio in an `AudioJournal`, both in the `ServerDirectory`.
`Takeover` delivers what dead servers left there, `LeaseMonitor` ends streams whose server has died. What a write does
in Redis lives in `store`.
"""
