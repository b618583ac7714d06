"""Pace and money: no minute holds more than the account's limit, and no request is begun that could pass the budget."""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.ask import pace
from pytest_distill.ask.pace import Budget, BudgetError, Pacer


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_starts_are_spaced_evenly(monkeypatch):
    """At 30 a minute the first may start at once and each further one two seconds after the one before."""
    Clock(monkeypatch)
    pacer = Pacer(30)
    assert [pacer.take(1) for _ in range(4)] == [0, 2, 4, 6]


def test_time_that_passed_is_not_saved_up(monkeypatch):
    """After a quiet hour the spacing is as before: no burst that would pass the limit."""
    clock = Clock(monkeypatch)
    pacer = Pacer(60)
    pacer.take(1)
    clock.now += 3600
    assert [pacer.take(1) for _ in range(3)] == [0, 1, 2]


def test_what_was_not_used_is_given_back(monkeypatch):
    """Tokens that were expected and not used shorten the wait of the next, further ones lengthen it."""
    clock = Clock(monkeypatch)
    pacer = Pacer(600)
    pacer.take(100)
    pacer.give_back(60)
    assert pacer.take(50) == pytest.approx(4)
    pacer.give_back(-50)
    assert pacer.take(1) == pytest.approx(14)
    pacer.give_back(10**6)
    clock.now += 1
    assert pacer.take(1) == 0


def test_no_limit_is_no_wait():
    """Without a limit nothing waits."""
    pacer = Pacer(None)
    pacer.give_back(5)
    assert [pacer.take(10**9) for _ in range(3)] == [0, 0, 0]


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(1, 50)), max_size=30), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_no_minute_holds_more_than_the_limit(asked, limit):
    """Whenever units are asked for, those that start within one minute are no more than the limit, the last of them left aside."""
    with pytest.MonkeyPatch.context() as patch:
        clock, pacer, starts = Clock(patch), Pacer(limit), []
        for passed, units in asked:
            clock.now += passed
            starts.append((clock.now + pacer.take(units), units))
    for begin, _ in starts:
        within = [units for start, units in starts if begin <= start < begin + 60 - 1e-6]
        assert sum(within[:-1]) <= limit


def spending(budget: Budget, work):
    """Run `work` inside the open budget."""

    async def run():
        with budget.open():
            return await work()

    return asyncio.run(run())


def test_a_budget_ends_before_it_is_passed():
    """Requests may start while what they can cost fits, to the cent; the one that would not is refused, with the numbers."""
    budget = Budget(0.75)

    async def work():
        for _ in range(3):
            await budget.reserve(0.25)
            budget.settle(0.25, 0.25)
        await budget.reserve(0.25)

    with pytest.raises(BudgetError) as caught:
        spending(budget, work)
    assert str(caught.value) == "the budget of $0.75 is used up: $0.7500 spent, and the next reply may cost up to $0.2500"
    assert budget.spent == 0.75


def test_a_request_waits_for_the_true_cost_of_those_in_flight():
    """Where only estimates stand in the way, a request waits until they are settled and then starts."""
    budget, order = Budget(1.0), []

    async def work():
        await budget.reserve(0.8)

        async def second():
            await budget.reserve(0.8)
            order.append("second started")

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        order.append("first settled")
        budget.settle(0.8, 0.1)
        await waiting

    spending(budget, work)
    assert order == ["first settled", "second started"]


def test_a_request_that_waited_in_vain_is_refused():
    """Where those in flight cost what they might, the one that waits is refused."""
    budget = Budget(1.0)

    async def work():
        await budget.reserve(0.8)
        waiting = asyncio.create_task(budget.reserve(0.8))
        await asyncio.sleep(0)
        budget.settle(0.8, 0.8)
        await waiting

    with pytest.raises(BudgetError, match=r"\$0.8000 spent"):
        spending(budget, work)


def test_without_a_limit_money_is_only_counted():
    """Without a limit any request may start, and what was spent is known."""
    budget = Budget()

    async def work():
        await budget.reserve(1e6)
        budget.settle(1e6, 2.5)

    spending(budget, work)
    assert budget.spent == 2.5


@given(st.lists(st.tuples(st.floats(1e-7, 1), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=20), st.floats(0.01, 3))
@settings(max_examples=60, deadline=None)
def test_no_order_of_requests_passes_the_budget(requests, limit):
    """However requests overlap, what is spent and may yet be spent stays within the limit, and none waits for ever."""
    budget = Budget(limit)

    async def one(most, share, turns):
        await budget.reserve(most)
        assert budget.spent + budget._reserved <= limit
        for _ in range(turns):
            await asyncio.sleep(0)
        budget.settle(most, most * share)

    async def work():
        async with asyncio.timeout(30):
            return await asyncio.gather(*(one(*request) for request in requests), return_exceptions=True)

    found = spending(budget, work)
    assert all(each is None or isinstance(each, BudgetError) for each in found)
    assert budget.spent <= limit + 1e-9


def test_processes_of_a_run_share_the_budget(tmp_path):
    """What one process spent is read by the next from the ledger, also where the first was interrupted."""
    ledger = tmp_path / "deep" / "ledger.json"

    async def spend(budget):
        await budget.reserve(0.6)
        budget.settle(0.6, 0.5)

    first = Budget(1.0, ledger)
    spending(first, lambda: spend(first))

    async def interrupted():
        await second.reserve(0.3)
        second.settle(0.3, 0.3)
        raise KeyboardInterrupt

    second = Budget(1.0, ledger)
    with pytest.raises(KeyboardInterrupt):
        spending(second, interrupted)
    last = Budget(1.0, ledger)
    with pytest.raises(BudgetError, match=r"\$0.8000 spent"):
        spending(last, lambda: spend(last))


def test_what_a_killed_process_may_have_spent_is_known_to_the_next(tmp_path):
    """What is saved while requests are in flight counts them at their dearest; at the end their true cost stands there."""
    ledger = tmp_path / "ledger.json"
    budget = Budget(1.0, ledger)

    async def work():
        await budget.reserve(0.3)
        budget.settle(0.3, 0.25)
        await budget.reserve(0.5)
        budget.save()
        assert json.loads(ledger.read_text()) == 0.75
        budget.settle(0.5, 0.125)

    spending(budget, work)
    assert json.loads(ledger.read_text()) == 0.375


def test_a_ledger_that_cannot_be_written_stops_the_run(tmp_path):
    """Where what is spent cannot be kept, nothing may be spent."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BudgetError, match="cannot be kept in"), Budget(1.0, tmp_path / "file" / "ledger.json").open():
        pass
    budget = Budget(1.0, tmp_path / "ledger.json")

    async def work():
        await budget.reserve(0.5)
        (tmp_path / "ledger.json").mkdir()
        with pytest.raises(BudgetError, match=r"cannot be kept in .*ledger\.json"):
            budget.save()
        (tmp_path / "ledger.json").rmdir()

    spending(budget, work)


def test_a_budget_for_several_recordings_of_one_process_is_one(tmp_path):
    """One budget that is opened again goes on where it was, with and without a ledger."""
    for budget in (Budget(1.0), Budget(1.0, tmp_path / "ledger.json")):

        async def spend(budget=budget):
            await budget.reserve(0.4)
            budget.settle(0.4, 0.4)

        spending(budget, spend)
        spending(budget, spend)
        assert budget.spent == pytest.approx(0.8)
        with pytest.raises(BudgetError):
            spending(budget, spend)


HOLD = """
import sys
from pathlib import Path
from pytest_distill.ask.pace import Budget
budget = Budget(1.0, Path(sys.argv[1]))
print("ready", flush=True)
with budget.open():
    print("open", budget.spent, flush=True)
    sys.stdin.readline()
    budget.spent += 0.25
"""


def test_one_process_spends_at_a_time(tmp_path):
    """A second process waits for the ledger until the first is done, and then knows what it spent."""
    start = [sys.executable, "-c", HOLD, str(tmp_path / "ledger.json")]
    first, second = (subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) for _ in range(2))
    with first, second:
        assert first.stdout.readline() == second.stdout.readline() == b"ready\n"
        told, *others = select.select([first.stdout, second.stdout], [], [], 60)[0]
        assert (told.readline(), others) == (b"open 0.0\n", [])
        ahead, behind = (first, second) if told is first.stdout else (second, first)
        assert select.select([behind.stdout], [], [], 0.2)[0] == []
        ahead.communicate(b"\n", timeout=60)
        assert behind.communicate(b"\n", timeout=60)[0] == b"open 0.25\n"
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_damaged_ledger_is_never_taken_for_nothing_spent(tmp_path):
    """What cannot be read as what was spent stops the run: money may be gone."""
    ledger = tmp_path / "ledger.json"
    ledger.write_text("{")
    with pytest.raises(BudgetError, match="cannot be read"), Budget(1.0, ledger).open():
        pass
