"""How many tracks fit into so many cores, and back. Pure."""

import math

BURST_DEVIATIONS = 2.0
"""Room is kept for so many standard deviations of what the tracks want at once: people speak in bursts."""


def tracks_that_fit(cores: float, cost: float) -> int:
    """How many tracks of a mean `cost` (cores each) fit into the cores with room to spare for bursts.

    A track costs twice its mean or nothing, about half of the time each, so that the deviation of n independent ones is
    cost x sqrt(n); solved for n: n x cost + BURST_DEVIATIONS x cost x sqrt(n) = cores.
    """
    half = BURST_DEVIATIONS / 2
    return int((math.sqrt(half * half + cores / cost) - half) ** 2)


def cost_of_each(tracks: int, cores: float) -> float:
    """The mean cost (cores) of tracks of which so many fit into the cores."""
    return cores / (tracks + BURST_DEVIATIONS * math.sqrt(tracks))
