"""Where a figure was measured: machine, versions, model. Without them no figure means anything."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from transcriber import __version__
from transcriber.benchmark.section_report import Value
from transcriber.catalog import ModelFolder, static_graph
from transcriber.runtime.machine import Share


def describe_machine(model: ModelFolder) -> Mapping[str, Value]:
    """Name and value, as they are to be shown. `others_load`: what else ran here in the last minute, in cores."""
    name = model.name if model.name != "model" else f"{model.path.parent.name}/{model.name}"
    share = Share.now()
    return {
        "cpu": _cpu(),
        "cores": round(share.cores, 2),
        "memory_gb": round(share.memory / 1e9, 1),
        "others_load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "transcriber": __version__,
        "vosk": metadata.version("vosk"),
        "model": name,
        "model_mb": round(model.size_bytes / 1e6, 1),
        "graph": "dynamic" if static_graph.is_dynamic(static_graph.folder_to_load(model.path)) else "static",
        "band": model.band,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
