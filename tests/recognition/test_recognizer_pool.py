"""The pool of warm recognizers: who goes out, who is kept, who is let go."""

from transcriber.recognition.recognizer_pool import OLD_S, UNUSED_S, RecognizerPool
from transcriber.recognition.scripted_engine import ScriptedEngine


def test_the_last_one_given_back_goes_out_first() -> None:
    pool = RecognizerPool(ScriptedEngine(), keep=4)
    first, second = pool.take(), pool.take()
    pool.give(first, heard_s=1)
    pool.give(second, heard_s=1)
    assert (pool.idle, pool.lent) == (2, 0)
    assert pool.take() is second
    assert pool.take() is first


def test_no_more_than_the_bound_are_kept() -> None:
    pool = RecognizerPool(ScriptedEngine(), keep=2)
    lent = [pool.take() for _ in range(5)]
    for recognizer in lent:
        pool.give(recognizer, heard_s=1)
    assert (pool.idle, pool.lent) == (2, 0)


def test_one_that_has_heard_enough_is_let_go() -> None:
    engine = ScriptedEngine()
    pool = RecognizerPool(engine, keep=4)
    for _ in range(3):
        pool.give(pool.take(), heard_s=0.3 * OLD_S)
    assert engine.created == 1
    pool.give(pool.take(), heard_s=0.3 * OLD_S)
    assert pool.idle == 0
    pool.give(pool.take(), heard_s=1)
    assert (engine.created, pool.idle) == (2, 1)


def test_after_a_busy_hour_the_pool_shrinks_again() -> None:
    now = 0.0
    pool = RecognizerPool(ScriptedEngine(), keep=8, least=2, clock=lambda: now)
    for recognizer in [pool.take() for _ in range(6)]:
        pool.give(recognizer, heard_s=1)
    now = UNUSED_S - 1
    pool.give(pool.take(), heard_s=1)
    assert pool.idle == 6
    now = 2 * UNUSED_S
    pool.give(pool.take(), heard_s=1)
    assert pool.idle == 2


def test_a_failed_recognizer_is_forgotten() -> None:
    pool = RecognizerPool(ScriptedEngine(), keep=2)
    pool.drop(pool.take())
    assert (pool.idle, pool.lent) == (0, 0)
