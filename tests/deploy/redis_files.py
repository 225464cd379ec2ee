"""Redis as the files of deploy/redis configure it, on a port of its own, with passwords for its users."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from tests.process import ROOT
from tests.sample_events import until
from tests.store.test_topologies import free_port
from transcriber.store.redis import binary

FILES = ROOT / "deploy/redis"
PLACEHOLDER = f"#{'0' * 64}"
USERS = ("transcriber", "captions", "monitoring", "replica", "sentinel", "operator")
PASSWORDS: Mapping[str, str] = {user: f"password-of-{user}" for user in USERS}


@dataclass
class ConfiguredRedis:
    """A running redis-server."""

    process: asyncio.subprocess.Process
    port: int

    def url(self, user: str) -> str:
        return f"redis://{user}:{PASSWORDS[user]}@127.0.0.1:{self.port}/0"

    @asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[Redis]:
        async with Redis.from_url(self.url(user), decode_responses=True) as client:
            yield client

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def access_list() -> str:
    """users.acl with a password for everybody, and with the operator's user on."""
    lines = []
    for line in (FILES / "users.acl").read_text().splitlines():
        digest = hashlib.sha256(PASSWORDS.get(line.split()[1], "").encode()).hexdigest()
        lines.append(line.replace(PLACEHOLDER, f"#{digest}").replace("operator off", "operator on"))
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def configured_redis(folder: Path, *options: str, acl: str | None = None) -> AsyncIterator[ConfiguredRedis]:
    """A redis-server with its data in `folder`; options win over the file's."""
    users = folder / "users.acl"
    users.write_text(access_list() if acl is None else acl)
    file = shutil.copy(FILES / "redis.conf", folder)  # which a failover rewrites
    port = free_port()
    own = ("--port", str(port), "--aclfile", str(users), "--dir", str(folder))
    process = await asyncio.create_subprocess_exec(
        str(binary.find()), str(file), *own, *options, stdout=asyncio.subprocess.DEVNULL
    )
    redis = ConfiguredRedis(process, port)
    try:
        await until(lambda: answers(port))
        yield redis
    finally:
        await redis.kill()


async def answers(port: int) -> bool:
    """Whether anybody listens, who may refuse us."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
