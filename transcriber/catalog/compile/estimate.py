"""What composing a graph will take, against what the machine has. Measured on two models, see bench/static_graph.py."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from transcriber.runtime import machine

GRAPH_FACTOR = 0.05
"""Composed graph / (language model x lexicon per word), all in bytes: 0.031 (en-demo), 0.047 (ko)."""
MEMORY_FACTOR = 3.3
"""Peak memory of the hungriest tool, in graphs: 3.2 (ko)."""
WORKING_FACTOR = 2.0
"""Disk while the work goes on, in graphs: the tools' result and its next form side by side."""
BYTES_PER_S = 7e6
"""Composed graph made in a second of the whole work: 7 MB (ko)."""
BASE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Needs:
    """An estimate, on the safe side: what the composed graph and the making of it take."""

    graph_bytes: int
    memory_bytes: int
    disk_bytes: int
    seconds: float

    @classmethod
    def of(cls, *, lexicon_bytes: int, language_model_bytes: int, words: int) -> "Needs":
        """From the sizes of HCLr.fst and of Gr.fst in its plain form, and the number of words.

        Each arc of the language model (a word after a history) becomes that word's path through the lexicon.
        """
        graph = GRAPH_FACTOR * language_model_bytes * lexicon_bytes / max(1, words)
        sources = lexicon_bytes + language_model_bytes
        return cls(
            round(graph),
            round(MEMORY_FACTOR * graph) + sources + BASE_BYTES,
            round(WORKING_FACTOR * graph) + language_model_bytes,
            graph / BYTES_PER_S,
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """What is free right now."""

    memory_bytes: int
    disk_bytes: int

    @classmethod
    def now(cls, folder: Path) -> "Machine":
        """Memory this process may still take (a container's limit counts), disk where `folder` lies."""
        room = machine.memory_room()
        free = _memory_available() if room is None else min(_memory_available(), room)
        return cls(free, shutil.disk_usage(folder).free)

    def lacks(self, needs: Needs) -> list[str]:
        """What there is too little of, in words."""
        pairs = (("memory", needs.memory_bytes, self.memory_bytes), ("disk", needs.disk_bytes, self.disk_bytes))
        return [f"{what} ({_gb(needed)} needed, {_gb(free)} free)" for what, needed, free in pairs if needed > free]


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size > 1e8 else f"{size / 1e6:.0f} MB"


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62
