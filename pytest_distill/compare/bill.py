"""What teacher and student cost: counted tokens at their prices, or the hours of a server."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_distill.measures import Bill, per_request

if TYPE_CHECKING:
    from pytest_distill.compare.comparison import Comparison


def bill_of(comparison: Comparison) -> Bill | None:
    """Return what both models cost; None where `unpriced` says why not."""
    teacher, student = comparison.prices
    serving, seconds = comparison.serving, comparison.timing.student.seconds
    if teacher is None or (student is None and serving is None) or _uncounted(comparison):
        return None
    n = len(comparison.examples)
    a_request = [
        per_request(price, (side.tokens_in - side.tokens_cached) / n, side.tokens_cached / n, side.tokens_out / n) if price else 0.0
        for price, side in ((teacher, comparison.teacher), (student, comparison.student))
    ]
    rate = serving.requests_per_second if serving else None
    if serving and not rate and not seconds:
        return None
    return Bill(a_request[0], a_request[1], serving, rate or 1 / median(seconds or [1.0]))


def unpriced(comparison: Comparison) -> str:
    """Return why no gain in cost can be told, or nothing."""
    timing, bill = comparison.timing, comparison.bill
    if bill is not None:
        if not bill.teacher:
            return "the teacher costs nothing"
        timed = comparison.serving is not None and comparison.serving.requests_per_second is None
        return timing.noise if timed else ""
    if uncounted := _uncounted(comparison):
        return f"the server of {uncounted!r} counted no tokens of some replies"
    if not timing.student.seconds:
        return timing.unpaired
    if comparison.prices[0] is None:
        name = comparison.teacher.model
        return f"the teacher {name!r} has no price. Give it price=(input, cached, output) in US dollars a million tokens"
    return "nothing says what the student costs. Add serving=Serving(usd_per_hour=…, requests_per_month=…) to the mark distill"


def _uncounted(comparison: Comparison) -> str:
    """Return the name of a model that has a price and whose tokens were not all counted, or nothing."""
    sides = zip(comparison.prices, (comparison.teacher, comparison.student), strict=True)
    return next((side.model for price, side in sides if price and not side.counted), "")
