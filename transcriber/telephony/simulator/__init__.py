"""A caller that dials a server exactly as Twilio does: recordings, messages, the line. Used by replay and the tests."""

from transcriber.audio.g711 import compress
from transcriber.audio.wav import Recording, read_recording
from transcriber.telephony.simulator.client import MediaStreamClient, Target, connect, dial
from transcriber.telephony.simulator.message_builder import CallIds, Frame, MessageBuilder, frames

__all__ = [
    "CallIds",
    "Frame",
    "MediaStreamClient",
    "MessageBuilder",
    "Recording",
    "Target",
    "compress",
    "connect",
    "dial",
    "frames",
    "read_recording",
]
