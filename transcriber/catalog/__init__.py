"""Models: which are here and whether they are whole (`folder`, `anatomy`, `fst`, `manifest`), which can be had
(`entries`, `official`), and how one gets here (`pull`, `local`: `download`, `package`, `archive`, `install`)."""

from transcriber.catalog.model_folder import DEMO, ModelFolder, describe, find, home_of, installed

__all__ = ["DEMO", "ModelFolder", "describe", "find", "home_of", "installed"]
