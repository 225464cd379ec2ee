"""A caller that dials a server exactly as Twilio does: recordings, messages, the line. Used by replay and the tests."""

from transcriber.caller.line import Line, Target, dial, open_line
from transcriber.caller.messages import CallIds, Frame, Script, frames
from transcriber.caller.recording import Recording, encode_mulaw, read_recording

__all__ = [
    "CallIds",
    "Frame",
    "Line",
    "Recording",
    "Script",
    "Target",
    "dial",
    "encode_mulaw",
    "frames",
    "open_line",
    "read_recording",
]
