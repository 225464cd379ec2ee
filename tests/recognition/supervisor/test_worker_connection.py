"""The server's end of a worker's socket: what a worker had answered before it died is heard, whatever fails first."""

import asyncio
import socket

import msgspec

from transcriber.recognition.supervisor.worker_connection import WorkerConnection
from transcriber.recognition.worker.protocol import Answer, CloseTrack, frame


def answer(track: int) -> Answer:
    return Answer(track=track, results=[], utterance_open=False, due_samples=800, began_at=0, cpu_s=0, idle=0, lent=0)


async def test_answers_written_before_a_death_count_though_a_write_fails_first() -> None:
    ours, theirs = socket.socketpair()
    heard: list[int] = []
    lost = asyncio.Event()
    connection = await WorkerConnection.open(ours, 1, lambda one: heard.append(one.track), lambda _: lost.set())
    encoder = msgspec.msgpack.Encoder()
    theirs.sendall(frame(encoder, answer(1)) + frame(encoder, answer(2)) + b"half a message"[:3])
    theirs.close()
    connection.send(CloseTrack(1))  # written before the event loop looks whether there is something to read
    await asyncio.wait_for(lost.wait(), 20)
    assert heard == [1, 2]
    assert not connection.is_open


async def test_nothing_is_heard_of_a_connection_that_was_closed() -> None:
    ours, theirs = socket.socketpair()
    heard: list[int] = []
    lost = asyncio.Event()
    connection = await WorkerConnection.open(ours, 1, lambda one: heard.append(one.track), lambda _: lost.set())
    theirs.sendall(frame(msgspec.msgpack.Encoder(), answer(1)))
    connection.close()
    await asyncio.wait_for(lost.wait(), 20)
    theirs.close()
    assert heard == []
