"""The simulated fleet of `bench.fleet`: which policy is better than which, whatever the figures."""

from dataclasses import replace

import pytest

from bench.fleet import Load, Outcome, Policy, policies, simulate

SMALL = Load(peak=400, room=20, hours=2)
"""As many servers as with the bench's load, and fewer calls."""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Of all policies that the bench compares."""
    return {name: simulate(SMALL, policy) for name, policy in policies(90).items()}


def test_scaling_on_room_is_better_than_on_cpu_that_is_never_reached(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["CPU 80 %"].refused_percent > 20
    assert outcomes["free tracks 25 %"].refused < outcomes["CPU 80 %"].refused / 10


def test_more_free_tracks_cost_hours_and_save_calls(outcomes: dict[str, Outcome]) -> None:
    few, some, many = (outcomes[f"free tracks {percent} %"] for percent in (10, 25, 40))
    assert few.refused > some.refused >= many.refused
    assert few.server_hours < some.server_hours < many.server_hours


def test_knowing_connections_is_better_than_chance_and_another_try_is_better_than_none(
    outcomes: dict[str, Outcome],
) -> None:
    one = [outcomes[f"25 %, {choice}, one try"].refused for choice in ("least connections", "power of two", "random")]
    assert one == sorted(one)
    assert outcomes["25 %, random, three tries"].refused < one[2] / 2
    assert outcomes["25 %, power of two, three tries"].refused <= one[1]


def test_only_a_short_grace_cuts_calls(outcomes: dict[str, Outcome]) -> None:
    hour, ten, one = outcomes["free tracks 25 %"], outcomes["25 %, grace 600 s"], outcomes["25 %, grace 60 s"]
    assert hour.cut <= 1 < ten.cut < one.cut


def test_a_slower_start_refuses_more(outcomes: dict[str, Outcome]) -> None:
    fast, usual, slow = (outcomes[name] for name in ("25 %, start in 20 s", "free tracks 25 %", "25 %, start in 180 s"))
    assert fast.refused <= usual.refused < slow.refused


def test_every_call_is_admitted_or_refused_and_the_seed_says_which() -> None:
    load = replace(SMALL, hours=0.5)
    first, again, other = (simulate(load, Policy(target=0), seeds=(seed,)) for seed in (1, 1, 2))
    assert first == again != other
    assert 0 < first.refused < first.offered
