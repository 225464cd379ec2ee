"""A caller that dials a server exactly as Twilio does: recordings, messages, the line. Used by replay and the tests."""

from transcriber.audio.g711 import encode_mulaw
from transcriber.audio.wav import Recording, read_recording
from transcriber.telephony.simulator.client import Line, Target, dial, open_line
from transcriber.telephony.simulator.message_builder import CallIds, Frame, Script, frames

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
