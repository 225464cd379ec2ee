"""Forks a child that enters a sandbox and waits for ever; see `test_sandbox`.

Without an argument this process waits too, to be killed. `--other-parent`: the child is told of a parent that it does
not have; how it ended is printed. `--readable`: what of the child this user, who is not root, can read is printed.
"""

import json
import os
import signal
import sys
from pathlib import Path

from tests.runtime.sandboxed import GROWTH_BYTES, NOBODY
from transcriber.runtime import sandbox


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def main() -> None:
    """Entry point."""
    flags = sys.argv[1:]
    if "--readable" in flags and os.getuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    ready, inside = os.pipe()
    parent_pid = 1 if "--other-parent" in flags else os.getpid()
    pid = os.fork()
    if pid == 0:
        sandbox.enter(parent_pid=parent_pid, keep=(inside,), growth_bytes=GROWTH_BYTES, name="an orphan")
        os.write(inside, b"inside")
        signal.pause()
    os.close(inside)
    os.read(ready, 10)
    if not flags:
        print("inside", flush=True)
        signal.pause()
    files = {name: _readable(Path(f"/proc/{pid}/{name}")) for name in ("stat", "statm", "maps", "environ")}
    if "--readable" in flags:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    print(json.dumps({"status": os.waitstatus_to_exitcode(status), "readable": files}))


if __name__ == "__main__":
    main()
