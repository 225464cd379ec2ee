"""OpenFst's command-line tools: finding them, running them within a memory limit."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from transcriber.errors import CompileError

TOOLS = ("fstsymbols", "fstconvert", "fstcompose", "fstrelabel")
PLUGINS = ("olabel_lookahead-fst.so", "ngram-fst.so")
"""Types that Vosk's graphs have and that OpenFst loads when it meets them."""
HINT = "install OpenFst's tools and plug-ins (Debian 12: apt install libfst-tools libfst22-plugins-base)"
OUT_OF_MEMORY = ("bad_alloc", "Memory allocation failed")
WATCH_EVERY_S = 0.2
NICENESS = 10
Watch = Callable[[int], None]
"""Called with the tool's memory in bytes, every WATCH_EVERY_S."""


class OpenFst:
    """The tools of one installation."""

    def __init__(self, tools: Path, plugins: Path) -> None:
        self._tools = tools
        paths = filter(None, (str(plugins), os.environ.get("LD_LIBRARY_PATH")))
        self._environment = os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(paths), "LC_ALL": "C"}

    @classmethod
    def find(cls, path: str | None = None) -> "OpenFst":
        """The tools on PATH (or on `path`), their plug-ins in the library folders beside. Raises CompileError."""
        for tool in TOOLS:
            if not shutil.which(tool, path=path):
                raise CompileError(f"{tool} is not installed: {HINT}")
        tools = Path(str(shutil.which(TOOLS[0], path=path))).parent
        for pattern in ("lib/*/fst/*", "lib/*/fst", "lib/fst", "lib64/fst"):
            for folder in sorted(tools.parent.glob(pattern)):
                if all((folder / plugin).is_file() for plugin in PLUGINS):
                    return cls(tools, folder)
        raise CompileError(f"no {PLUGINS[0]} below {tools.parent}: {HINT}")

    def run(self, tool: str, *arguments: str | Path, memory_bytes: int, watch: Watch = lambda _: None) -> None:
        """Run a tool to its end, at low priority: live calls come first. Raises CompileError.

        A tool that would take more than `memory_bytes` fails, instead of making the machine kill something else.
        """
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen(  # noqa: S603 - our own words and paths, no shell
                [self._tools / tool, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
            try:
                resource.prlimit(child.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
                os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
                while _runs(child):
                    watch(_memory(child.pid))
            finally:
                child.kill()
                child.wait()
            output.seek(0)
            lines = output.read().decode("utf-8", "replace").split("\n")
        if child.returncode:
            raise CompileError(_reason(tool, child.returncode, lines, memory_bytes))


def _runs(child: "subprocess.Popen[bytes]") -> bool:
    try:
        child.wait(WATCH_EVERY_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _memory(pid: int) -> int:
    """Resident bytes; 0 when it has just ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _reason(tool: str, status: int, lines: list[str], memory_bytes: int) -> str:
    if status == -signal.SIGKILL or any(sign in line for sign in OUT_OF_MEMORY for line in lines):
        return f"{tool} needs more than the {memory_bytes / 1e6:.0f} MB of memory that are free"
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return f"{tool} failed (status {status}): {last.strip()}"
