"""The process's cache: each value is made once, their number is limited, and all are forgotten at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_handlers.process_cache import ProcessCache


def test_values_are_made_once() -> None:
    cache, made = ProcessCache(8), []
    for key in "abab":
        assert cache.get(key, lambda key=key: made.append(key) or key.upper()) == key.upper()
    assert made == ["a", "b"] and len(cache) == 2
    cache.clear()
    assert len(cache) == 0
    assert cache.get("a", lambda: "new") == "new"


def test_nothing_is_a_value_too() -> None:
    cache, made = ProcessCache(2), []
    for _ in range(2):
        assert cache.get("key", lambda: made.append(1)) is None
    assert made == [1]


def test_the_one_that_was_used_longest_ago_goes() -> None:
    cache = ProcessCache(2)
    for key in "abac":  # b goes
        cache.get(key, key.upper)
    assert len(cache) == 2
    assert cache.get("a", lambda: "another") == "A"
    assert cache.get("b", lambda: "another") == "another"


def test_making_one_value_may_ask_for_another() -> None:
    cache = ProcessCache(1)
    assert cache.get("model", lambda: "model of " + cache.get("pack", lambda: "pack")) == "model of pack"
    assert cache.get("model", lambda: "another") == "model of pack"


def test_what_fails_is_tried_again() -> None:
    cache = ProcessCache(1)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 / 0)
    assert cache.get("key", lambda: 2) == 2


def test_threads_wait_for_the_one_that_makes_it() -> None:
    cache, made = ProcessCache(1), []

    def make() -> int:
        made.append(threading.get_ident())
        time.sleep(0.05)
        return 7

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: cache.get("key", make), range(4))) == [7] * 4
    assert len(made) == 1
