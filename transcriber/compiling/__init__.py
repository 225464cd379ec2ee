"""Composing a model's dynamic graph into a static one, ahead of time, beside the model. No server uses this package.

`openfst` runs the tools, `estimate` says what it takes, `proof` shows that the texts are the same, `workshop` does it.
"""

from transcriber.compiling.estimate import Machine, Needs
from transcriber.compiling.openfst import OpenFst
from transcriber.compiling.proof import Proof
from transcriber.compiling.workshop import Workshop

__all__ = ["Machine", "Needs", "OpenFst", "Proof", "Workshop"]
