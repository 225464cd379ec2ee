"""The usual server, as a peer for `transcriber bench --peer 'python -m bench.peer MODEL {port}'`.

As vosk-server does it: a WebSocket a track, a fresh KaldiRecognizer for each, everything fed, an answer to every
message, recognition on a thread pool with a thread a core. Loopback only.
"""

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import WSMsgType, web

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import vosk

vosk.SetLogLevel(-1)
THREADS = ThreadPoolExecutor(os.cpu_count())
MODEL: web.AppKey[Any] = web.AppKey("model")


def recognise(recognizer: Any, audio: bytes) -> str:
    """The answer to one message of audio."""
    return str(recognizer.Result() if recognizer.AcceptWaveform(audio) else recognizer.PartialResult())


async def serve(request: web.Request) -> web.WebSocketResponse:
    """One track."""
    loop = asyncio.get_running_loop()
    line = web.WebSocketResponse(compress=False)
    await line.prepare(request)
    recognizer: Any = None
    rate, words = 16000.0, False
    async for message in line:
        if message.type is WSMsgType.TEXT:
            order = json.loads(message.data)
            if "config" in order:
                rate = float(order["config"].get("sample_rate", rate))
                words = bool(order["config"].get("words", words))
                continue
            if recognizer is not None:
                await line.send_str(await loop.run_in_executor(THREADS, recognizer.FinalResult))
            break
        if recognizer is None:
            recognizer = vosk.KaldiRecognizer(request.app[MODEL], rate)
            recognizer.SetWords(words)
        await line.send_str(await loop.run_in_executor(THREADS, recognise, recognizer, message.data))
    await line.close()
    return line


if __name__ == "__main__":
    application = web.Application()
    application[MODEL] = vosk.Model(sys.argv[1])
    application.router.add_get("/", serve)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[2]), print=None)
