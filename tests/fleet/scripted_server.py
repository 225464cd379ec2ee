"""`transcriber serve` with the scripted engine, settings from the environment: everything but recognition."""

import asyncio
import sys

from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.server.process import serve_until_signalled
from transcriber.settings.definition import load_settings


def main() -> None:
    """Until SIGTERM."""
    asyncio.run(
        serve_until_signalled(
            load_settings().settings,
            greeting=lambda server: [f"ready on {server.url};"],
            report=lambda line: print(line, file=sys.stderr, flush=True),
            model_process=ModelProcess(ScriptedModel(("one two three four five six",))),
        )
    )


if __name__ == "__main__":
    main()
