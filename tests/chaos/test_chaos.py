"""Real processes killed under live calls: history reads as without trouble."""

import asyncio

import pytest

from bench.chaos import SCENARIOS, play, unharmed
from bench.stage import Finals, Plan

pytestmark = [pytest.mark.chaos]
PLAN = Plan(calls=2, outage_s=2, speed=6)


@pytest.fixture(scope="module")
def wanted() -> Finals:
    """What each call says without trouble."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(unharmed(PLAN))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_nothing_is_lost_repeated_or_out_of_order(name: str, wanted: Finals) -> None:
    verdict = await play(name, PLAN, wanted)
    assert verdict.expected >= PLAN.calls
    assert verdict.flawless, verdict.line()
