"""A client that dials a server exactly as Twilio does: for replay, the sample calls, the benchmark and the tests."""

from transcriber.telephony.simulator.client import MediaStreamClient, Target, connect, dial
from transcriber.telephony.simulator.message_builder import CallIds, Frame, MessageBuilder, frames

__all__ = ["CallIds", "Frame", "MediaStreamClient", "MessageBuilder", "Target", "connect", "dial", "frames"]
