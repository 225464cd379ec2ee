"""Budgets: what fits in, when one may come back, and that memory stays bounded."""

from hypothesis import given
from hypothesis import strategies as st

from transcriber.web.limits.token_bucket import TokenBuckets


def test_a_whole_budget_at_once_then_a_steady_trickle() -> None:
    rate = TokenBuckets(60)
    assert [rate.charge("a", 100.0) for _ in range(61)] == [0.0] * 60 + [1.0]
    assert rate.charge("b", 100.0) == 0.0
    assert rate.charge("a", 100.5) == 0.5
    assert rate.charge("a", 101.0) == 0.0
    assert rate.charge("a", 101.0) == 1.0
    assert [rate.charge("a", 400.0) for _ in range(61)] == [0.0] * 60 + [1.0]


def test_zero_is_no_limit_and_nothing_is_remembered() -> None:
    rate = TokenBuckets(0)
    assert not any(rate.charge("a", 0.0) for _ in range(10_000))
    assert len(rate) == 0


def test_names_are_forgotten_when_they_are_whole_again_or_too_many() -> None:
    rate = TokenBuckets(60, most_names=100)
    for number in range(1000):
        rate.charge(number, 0.0)
    assert len(rate) == 100
    rate.charge("late", 1000.0)
    assert len(rate) == 1


@given(st.integers(1, 500), st.lists(st.floats(0, 5, allow_nan=False), max_size=300))
def test_no_window_ever_holds_more_than_twice_the_budget(per_minute: int, pauses: list[float]) -> None:
    rate, now, granted = TokenBuckets(per_minute), 0.0, list[float]()
    for pause in pauses:
        now += pause
        wait_s = rate.charge("a", now)
        if wait_s:
            assert rate.wait_s("a", now + wait_s) == 0.0
        else:
            granted.append(now)
    for begin in granted:
        assert sum(begin <= at < begin + 60 for at in granted) <= 2 * per_minute
