"""Models: those that are here (`folder`, `anatomy`, `manifest`), those that can be had (`entries`), and the way between
them (`pull`: `download`, `package`, `archive`, `install`)."""

from transcriber.catalog.folder import DEMO, ModelFolder, describe, find, home_of, installed

__all__ = ["DEMO", "ModelFolder", "describe", "find", "home_of", "installed"]
