"""How long a server takes from its start to ready: in a container of the image, and as a program of this environment.

In turns, on one Redis. The container has no rights and a read-only root, as the tests run it (root, podman); `make
image` first. Its time begins with podman, the program's with the interpreter.
"""

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import transcriber
from tests.deploy.container import PODMAN, STRICT
from tests.process import program, wait_for_line
from tests.store.test_topologies import redis_server


async def ready_after_s(server: AbstractAsyncContextManager[asyncio.subprocess.Process]) -> float:
    """Seconds until it says that it is ready; it is ended then."""
    begun = time.perf_counter()
    async with server as child:
        await wait_for_line(child, b"ready on ")
        spent = time.perf_counter() - begun
        child.terminate()
        await child.wait()
    return spent


async def main(image: str, rounds: int) -> None:
    inside, outside = [], []
    with TemporaryDirectory() as folder:
        async with redis_server(Path(folder)) as port:
            settings = {
                "TRANSCRIBER_REDIS_URL": f"redis://127.0.0.1:{port}/0",
                "TRANSCRIBER_HOST": "127.0.0.1",
                "TRANSCRIBER_PORT": "0",
            }
            variables = [f"--env={name}={value}" for name, value in settings.items()]
            own = {**settings, "TRANSCRIBER_DATA_DIR": f"{folder}/data"}
            for _ in range(rounds):
                inside.append(await ready_after_s(program(*PODMAN, "run", "--rm", *STRICT, *variables, image)))
                outside.append(
                    await ready_after_s(program(sys.executable, "-m", "transcriber", "serve", environment=own))
                )
    for name, found in (("container", inside), ("program", outside)):
        print(f"{name:<10} {statistics.median(found):.2f} s (of {rounds}: {min(found):.2f} to {max(found):.2f})")
    print(f"{'ratio':<10} {statistics.median(i / o for i, o in zip(inside, outside, strict=True)):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default=f"transcriber:{transcriber.__version__}")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.image, arguments.rounds))
