"""Hours, workers and cost estimated from the time of a few photos: sums by hand."""

from collections import Counter
from typing import Any

import pytest

from configs.prices import Prices
from pipelines.planning.estimate import Spread, cost_of, estimate
from pipelines.planning.listing import Listed
from pipelines.planning.plan_report import duration, money, size, table
from pipelines.planning.sample import Measured, cut, draw
from pipelines.planning.timed_chain import Group
from transforms.records import Listing

GROUPS = [
    Group(2, {"read": 1.0, "sentences": 2.0, "story a": 10.0}),
    Group(2, {"read": 2.0, "sentences": 1.0, "story a": 20.0, "story b": 4.0}),
    Group(2, {"read": 3.0, "sentences": 6.0, "story a": 30.0, "story b": 8.0}),
]
PRICES = Prices(
    currency="EUR",
    worker_cores=4,
    worker_gpus=2,
    worker_hour=1.0,
    gpu_hour=3.0,
    storage_gb_month=0.5,
    read_operations_1000=2.0,
    write_operations_1000=10.0,
)


def listed(photos: int, unseen: int | None = None, uncaptioned: int | None = None, **stories: int) -> Listed:
    tasks: list[Any] = [(Listing(f"{number}.jpg", 1, "1"), None) for number in range(photos)]
    parts = (photos if number is None else number for number in (unseen, uncaptioned))
    return Listed(tasks, Counter(), 0, Counter(), Counter(stories), 0, photos, *parts)


def measured(groups: list[Group], captions: int = 0, start: float = 4.0) -> Measured:
    return Measured(groups, Counter(), 0, start, captions, 0.0)


def test_each_stage_is_shared_among_those_that_go_through_it() -> None:
    work = estimate(listed(100, a=100, b=10), measured(GROUPS), 6.0, None)
    assert work.stages["story b"] == Spread(6.0, 4.0, 8.0) and work.stages["read"] == Spread(2.0, 1.0, 3.0)
    # group by group: 100 x read + 100 x sentences + 100 x story a + 10 x story b, whose median stands in where it lacks
    assert work.seconds == Spread(2340.0, 1360.0, 3980.0)
    assert work.photo == Spread(27.0, 13.0, 47.0)
    assert work.alone == Spread(2350.0, 1370.0, 3990.0)


def test_what_was_kept_takes_no_network() -> None:
    group = Group(4, {"read": 1.0, "decode": 2.0, "features": 4.0, "captions": 8.0, "sentences": 16.0, "story a": 32.0})
    work = estimate(listed(100, unseen=10, uncaptioned=30, a=100), measured([group]), 0.0, None)
    assert work.seconds.median == 10 * 7 + 30 * 8 + 100 * 48


def test_captions_of_a_bank_are_encoded_once_each() -> None:
    """18 captions of 6 photos: 3 new ones a photo, of 100 photos 300; the bank has 75, so a quarter of the time."""
    for bank, share in ((None, 1.0), (300, 1.0), (75, 0.25)):
        work = estimate(listed(100, a=0), measured(GROUPS[:1], captions=6), 0.0, bank)
        assert work.seconds.median == pytest.approx(100 * (1.0 + share * 2.0))


def test_workers_share_all_but_listing_and_loading() -> None:
    work = estimate(listed(100, a=100, b=10), measured(GROUPS), 6.0, None)
    assert work.shared(2, 1.0).median == pytest.approx(10 + 1170)
    assert work.shared(4, 0.5).median == pytest.approx(10 + 1170)
    assert work.workers_within(1180, 1.0) == {"median": 2, "high": 4}
    assert work.workers_within(1179, 1.0) == {"median": 3, "high": 4}
    assert work.workers_within(100_000, 1.0) == {"median": 1, "high": 1}
    assert work.workers_within(10, 1.0) == {"median": None, "high": None}


def test_nothing_to_tell_takes_the_listing() -> None:
    work = estimate(listed(0, a=0), measured([], start=0.0), 6.0, None)
    assert work.alone == Spread(6.0, 6.0, 6.0) and work.workers_within(60, 1.0)["median"] == 1


def test_cost_by_hand() -> None:
    work = estimate(listed(100, a=100, b=10), measured(GROUPS), 6.0, None)
    cost = cost_of(work, 2, 1.0, PRICES, 3e9, reads=1500, writes=300)
    assert cost.workers.median == pytest.approx(2 * (10 + 1170) / 3600 * (1 + 2 * 3))
    assert (cost.operations, cost.storage_month) == (pytest.approx(3.0 + 3.0), pytest.approx(1.5))
    assert cost.night.median == pytest.approx(cost.workers.median + 6)


def test_the_sample_is_the_same_each_time_and_from_all_over() -> None:
    tasks: list[Any] = [(Listing(f"{number:04d}.jpg", 1, "1"), None) for number in range(1000)]
    drawn = draw(tasks, 50)
    assert drawn == draw(tasks[::-1], 50) and len({task[0].uri for task in drawn}) == 50
    numbers = sorted(int(task[0].uri[:4]) for task in drawn)
    assert numbers[0] < 100 and numbers[-1] > 900 and 350 < sum(numbers) / 50 < 650
    assert draw(tasks, 60)[:50] == drawn and len(draw(tasks[:3], 50)) == 3


@pytest.mark.parametrize(
    ("photos", "batch", "sizes"),
    [(50, 32, [16, 17, 17]), (100, 32, [25] * 4), (2, 32, [1, 1]), (5, 1, [1] * 5), (11, 4, [3, 4, 4])],
)
def test_groups_are_alike_and_no_larger_than_the_runs_batch(photos: int, batch: int, sizes: list[int]) -> None:
    tasks: list[Any] = list(range(photos))
    groups = cut(tasks, batch)
    assert [len(group) for group in groups] == sizes and [one for group in groups for one in group] == tasks


def test_figures_in_words() -> None:
    assert [duration(seconds) for seconds in (0.04, 9.94, 61, 125, 7300)] == [
        "0.0 s",
        "9.9 s",
        "61 s",
        "2 min",
        "2.0 h",
    ]
    assert [size(count) for count in (999, 1500, 2.5e12, 3e15)] == ["999 bytes", "1.5 kB", "2.5 TB", "3,000.0 TB"]
    assert [money(value) for value in (0, 1e-5, 0.00123, 12.345, 1e4)] == [
        "0.00",
        "under 0.0001",
        "0.0012",
        "12.35",
        "10,000.00",
    ]
    assert table([("a", "10"), ("bcd", "2")], "<>") == ["  a    10", "  bcd   2"]
