"""Composes a model's dynamic graph into a static one, ahead of time, beside the model. No server uses this package.

`graph_compiler` does it: `openfst` runs the tools, `estimate` says what it takes, `equivalence` compares the texts of
both graphs, `transcribe` is the process that reads recordings with one of them.
"""

from transcriber.catalog.compile.equivalence import EquivalenceReport
from transcriber.catalog.compile.estimate import Machine, Needs
from transcriber.catalog.compile.graph_compiler import GraphCompiler
from transcriber.catalog.compile.openfst import OpenFst

__all__ = ["EquivalenceReport", "GraphCompiler", "Machine", "Needs", "OpenFst"]
