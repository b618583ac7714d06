"""What teacher and student cost: arithmetic on prices and measured tokens, labelled as such."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any

from pytest_distill.errors import TaskError
from pytest_distill.measures.base import Measure

HOURS_PER_MONTH = 730
MOST_UTILISATION = 0.6
MOST = 1e12  # no declared number is larger: it would be a slip
NEVER = 1e15  # requests a month that nobody has
Price = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What it takes to run the student: declared in the mark as ``serving=Serving(…)``.

    Args:
        usd_per_hour: of one replica, in US dollars.
        requests_per_month: how many the task has.
        training_usd: one training with its data, in US dollars.
        months: over which the training is written off.
        requests_per_second: what one replica answers within its latency target; None takes one request at a time at the
            measured median, which undersells every server that batches.
        utilisation: the share of that rate which is used on average, above 0 to 0.6: traffic has peaks.

    Raises:
        TaskError: a value outside its range.
    """

    usd_per_hour: float
    requests_per_month: float
    training_usd: float = 0.0
    months: float = 12.0
    requests_per_second: float | None = None
    utilisation: float = MOST_UTILISATION

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "requests_per_second":
                continue
            least, most = 1e-6, MOST_UTILISATION if field.name == "utilisation" else MOST
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            free = field.name in ("training_usd", "usd_per_hour")  # may be nothing; all else is above 0
            if not number or not (least <= value <= most or (free and value == 0)):
                allowed = "0 or more" if free else "above 0 to 0.6" if most < 1 else "above 0"
                raise TaskError(f"Serving: {field.name} must be a number {allowed}; seen {value!r:.40}.")


def per_request(price: Price, tokens_in: float, tokens_cached: float, tokens_out: float) -> float:
    """Return what one request costs in US dollars at `price`: dollars a million input, cached input and output tokens.

    `tokens_in` are those that no cache held.
    """
    return (tokens_in * price[0] + tokens_cached * price[1] + tokens_out * price[2]) / 1e6


@dataclass(frozen=True)
class Bill:
    """What both models cost a request and a month.

    Attributes:
        teacher: US dollars a request.
        student: US dollars a request that grow with each one (0 for a model one serves oneself).
        serving: what running the student takes; None for a student that is billed by tokens alone.
        requests_per_second: of one replica.
    """

    teacher: float
    student: float
    serving: Serving | None
    requests_per_second: float

    @property
    def _capacity(self) -> float:
        """Requests a month of one replica."""
        assert self.serving is not None
        return self.requests_per_second * self.serving.utilisation * 3600 * HOURS_PER_MONTH

    def replicas(self, requests: float) -> int:
        """Return how many replicas answer so many requests a month."""
        return max(1, math.ceil(requests / self._capacity)) if self.serving else 0

    def fixed(self, replicas: int) -> float:
        """Return the US dollars a month that do not depend on each request."""
        if self.serving is None:
            return 0.0
        return replicas * HOURS_PER_MONTH * self.serving.usd_per_hour + self.serving.training_usd / self.serving.months

    def gain(self, requests: float) -> float:
        """Return the teacher's bill over the student's for so many requests a month."""
        student = self.fixed(self.replicas(requests)) + self.student * requests
        return self.teacher * requests / student if student else math.inf

    @property
    def break_even(self) -> float | None:
        """The requests a month above which the student costs less; None where it never does."""
        saved = self.teacher - self.student
        if saved <= 0:
            return None
        if self.serving is None:
            return 0.0
        replica = HOURS_PER_MONTH * self.serving.usd_per_hour
        spare = self._capacity * saved - replica  # what a fully used replica saves a month
        if spare <= 0:
            return None
        # So many replicas that also the step to one more, at the volume they can just answer, costs less than the teacher.
        replicas = max(1, math.ceil(self.fixed(1) / spare))
        return self.fixed(replicas) / saved


@dataclass(frozen=True, eq=False, repr=False)
class Cost(Measure):
    """What both kinds of cost share.

    Args:
        bill: what both models cost; None where it could not be had.
        examples: over how many replies the tokens were counted.
    """

    bill: Bill | None
    examples: int

    method, lowest, highest = "arithmetic", 0.0, 1e12
    arithmetic = "by arithmetic on prices and measured tokens"

    @property
    def n(self) -> int:
        return self.examples

    @property
    def bound(self) -> None:
        return None

    def facts(self) -> str:
        return bill_words(self.bill) if self.bill else ""


@dataclass(frozen=True, eq=False, repr=False)
class CostGain(Cost):
    """The teacher's monthly bill over the student's, at the declared number of requests."""

    key, title, side, example = "cost_gain", "cost gain", "lower", "5"

    @cached_property
    def exact(self) -> Fraction:
        assert self.bill is not None
        requests = self.bill.serving.requests_per_month if self.bill.serving else 1.0
        return _exact(min(self.bill.gain(requests), self.highest))

    def show(self, value: float) -> str:
        return f"{value:.2f} times"

    def show_limit(self, limit: float) -> str:
        return f"{limit:g} times"


@dataclass(frozen=True, eq=False, repr=False)
class BreakEven(Cost):
    """The requests a month above which the student costs less than the teacher."""

    key, title, side, example = "break_even", "break-even volume", "upper", "500_000"

    @cached_property
    def exact(self) -> Fraction:
        assert self.bill is not None
        return _exact(NEVER if self.bill.break_even is None else self.bill.break_even)

    def show(self, value: float) -> str:
        return "out of reach" if value >= NEVER else f"{value:,.0f} requests a month"

    def show_limit(self, limit: float) -> str:
        return self.show(limit)

    def to_json(self) -> dict[str, Any]:
        found = super().to_json()
        never = self.bill is not None and not self.why and self.bill.break_even is None
        return found | {"value": None, "why": "at these prices the student never costs less"} if never else found


def _exact(value: float) -> Fraction:
    """Return a sum of prices as the number that people would reckon: floats miss 20 by a few parts in 10^16."""
    return Fraction(f"{value:.12g}")


def _dollars(value: float) -> str:
    """Write a price with three digits that say something."""
    return f"${value:.{max(2, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "$0"


def bill_words(bill: Bill) -> str:
    """Write a bill for people: what a request costs, what a month of serving costs, and above which volume the student pays."""
    words = f"teacher {_dollars(bill.teacher)} a request"
    if bill.student:
        words += f", student {_dollars(bill.student)}"
    if bill.serving:
        requests = bill.serving.requests_per_month
        replicas = bill.replicas(requests)
        machines = "1 replica" if replicas == 1 else f"{replicas} replicas"
        words += f"; student ${bill.fixed(replicas):,.2f} a month on {machines} for {requests:,.0f} requests"
    even = bill.break_even
    return words + ("; the student never costs less" if even is None else f"; it costs less above {even:,.0f} requests a month")
