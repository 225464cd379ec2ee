"""Where a Vosk model's folder keeps its parts. Whether they are whole does not live here (see `validation`)."""

from dataclasses import dataclass
from pathlib import Path

STATIC_GRAPH = "HCLG.fst"
LEXICON, LANGUAGE_MODEL = "HCLr.fst", "Gr.fst"
DYNAMIC_GRAPH = (LEXICON, LANGUAGE_MODEL)
"""The two that Vosk composes while it decodes."""
DISAMBIGUATION = "disambig_tid.int"
"""Beside a dynamic graph: its transition ids that stand for no sound."""
WORDS = "words.txt"
# Of an optional folder Vosk asks for the first file, and then wants them all.
IVECTOR = ("final.ie", "final.dubm", "final.mat", "global_cmvn.stats", "online_cmvn.conf", "splice.conf")
RESCORE = ("G.carpa", "G.fst")
RNNLM = ("final.raw", "feat_embedding.final.mat", "word_feats.txt", "special_symbol_opts.conf")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the model's folder. `decoder_options`: empty in the older layout; `graph`: a folder."""

    acoustic_model: str
    feature_options: str
    decoder_options: str
    graph: str
    word_boundaries: str


NESTED = Layout("am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/", "graph/phones/word_boundary.int")
FLAT = Layout("final.mdl", "mfcc.conf", "", "", "word_boundary.int")
"""The older layout."""


def layout_of(model: Path) -> Layout:
    """The newer one has folders; Vosk goes by am/final.mdl, which may be just what is missing."""
    return NESTED if any((model / part).is_dir() for part in ("am", "conf", "graph")) else FLAT


def feature_options(model: Path) -> str:
    """The file that says how features are computed: MFCC, or filter banks where only these are there."""
    mfcc = layout_of(model).feature_options
    fbank = mfcc.replace("mfcc", "fbank")
    return fbank if (model / fbank).is_file() and not (model / mfcc).is_file() else mfcc


def graph_folder(model: Path) -> Path:
    """Where the graphs and the list of words lie: `graph/`, or the model's folder itself."""
    return model / layout_of(model).graph


def has_static_graph(model: Path) -> bool:
    """Whether the graph was composed ahead of time."""
    return (graph_folder(model) / STATIC_GRAPH).is_file()


def has_dynamic_graph(model: Path) -> bool:
    """Whether both parts of a graph composed while decoding are there."""
    return all((graph_folder(model) / part).is_file() for part in DYNAMIC_GRAPH)
