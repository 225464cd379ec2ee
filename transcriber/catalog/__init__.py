"""Models: which are installed and whether they are whole, which can be had, and how one gets here.

On this machine: `model_folder` (names to folders), `vosk_layout`, `validation` and `fst` (is it whole), `manifest`,
`static_graph`, `trial` (Vosk tries it in a process of its own). To be had: `entries` (the catalogue), `official_list`.
Getting one: `pull` and `local_import`, by `download`, `pip_package`, `archive` and `install`. `compile/` composes
graphs ahead of time. Recognizing speech with a model lives in `recognition`.
"""

from transcriber.catalog.model_folder import DEMO, ModelFolder, describe, find, installed

__all__ = ["DEMO", "ModelFolder", "describe", "find", "installed"]
