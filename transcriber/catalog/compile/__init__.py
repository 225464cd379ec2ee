"""Composing a model's dynamic graph into a static one, ahead of time, beside the model. No server uses this package.

`openfst` runs the tools, `estimate` says what it takes, `proof` shows that the texts are the same, `workshop` does it.
"""

from transcriber.catalog.compile.equivalence import EquivalenceReport
from transcriber.catalog.compile.estimate import Machine, Needs
from transcriber.catalog.compile.graph_compiler import GraphCompiler
from transcriber.catalog.compile.openfst import OpenFst

__all__ = ["EquivalenceReport", "GraphCompiler", "Machine", "Needs", "OpenFst"]
