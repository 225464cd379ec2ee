"""The static graph beside a model: where it lies and whether it still fits the model. Making one is `compile`'s work.

A model with a dynamic graph (HCLr.fst and Gr.fst, composed while it decodes) may carry `static/`, a complete Vosk model
folder: links to the model's other parts, and HCLG.fst, the two composed ahead of time. Run-time grammars need the
dynamic graph, which stays where it is.
"""

import hashlib
import json
import logging
from pathlib import Path

from transcriber.catalog.vosk_layout import (
    DISAMBIGUATION,
    DYNAMIC_GRAPH,
    STATIC_GRAPH,
    graph_folder,
    has_dynamic_graph,
    has_static_graph,
)

log = logging.getLogger(__name__)
STATIC = "static"
SOURCES = (*DYNAMIC_GRAPH, DISAMBIGUATION)
RECEIPT = "made-from.json"
ENDS_BYTES = 1 << 20


def is_dynamic(model: Path) -> bool:
    """Whether Vosk composes this model's graph while it decodes."""
    return not has_static_graph(model) and has_dynamic_graph(model)


def folder_to_load(model: Path) -> Path:
    """The folder Vosk should load for free speech: the static one where it fits the model, else the model itself."""
    static = model / STATIC
    if not is_dynamic(model) or not static.is_dir():
        return model
    try:
        receipt = json.loads((static / RECEIPT).read_text("utf-8"))
        fits = receipt["sources"] == fingerprints(model) and receipt["bytes"] == composed_graph(static).stat().st_size
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        fits = False
    if not fits:
        log.warning(
            "the static graph in %s does not fit the model and is not used: transcriber models compile %s",
            *(static, model),
        )
        return model
    return static


def composed_graph(folder: Path) -> Path:
    """The composed graph of a (static) model folder."""
    return graph_folder(folder) / STATIC_GRAPH


def fingerprints(model: Path) -> dict[str, str]:
    """Fingerprints that tell one build of a model's graphs from another; takes a few ms whatever their size.

    Size, beginning and end stand for the whole: states lie before arcs and weights, so that a graph built anew from
    other words or counts differs in at least one of them. Raises OSError.
    """
    return {name: _fingerprint(graph_folder(model) / name) for name in SOURCES}


def write_receipt(static: Path, model: Path) -> None:
    """Write into the static folder what it was made from. Raises OSError."""
    receipt = {"sources": fingerprints(model), "bytes": composed_graph(static).stat().st_size}
    (static / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n", "utf-8")


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        digest = hashlib.sha256(file.read(ENDS_BYTES))
        file.seek(max(0, size - ENDS_BYTES))
        digest.update(file.read(ENDS_BYTES))
    return f"{size}:{digest.hexdigest()}"
