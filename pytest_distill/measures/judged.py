"""The measure of free text: a judge says which replies differ, people say whether they do."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from pytest_distill import stats
from pytest_distill.judge import Judged
from pytest_distill.measures.base import Measure
from pytest_distill.measures.quality import HOPELESS
from pytest_distill.verdict import percent

ADVISED = 200


@dataclass(frozen=True, eq=False, repr=False)
class JudgedDrop(Measure):
    """The share of examples on which people find the student's reply worse than the teacher's, minus the share on which they find it better.

    People look at each pair on which the judge sees a difference, and at a random sample of the others; without that it is not measured.

    Args:
        judged: the judge's opinions, with people's labels.
    """

    judged: Judged

    key, title, side, method, lowest, highest, example = "judged_drop", "judged drop", "upper", "audit", 0.0, 0.99, "0.05"

    @property
    def n(self) -> int:
        return self.judged.total

    @cached_property
    def exact(self) -> Fraction:
        seen, audit, share = self.judged.evidence
        rest = Fraction(len(self.judged.concordant), self.n) if share else Fraction(0)
        return Fraction(int(sum(seen)), len(seen)) + rest * Fraction(int(sum(audit)), len(audit))

    @cached_property
    def bound(self) -> float:
        return round(min(stats.audit_bound(*self.judged.evidence, self.judging.alpha), 1.0), 5)

    def p_values(self, limit: float) -> tuple[float, float]:
        seen, audit, share = self.judged.evidence
        opposite = [-value for value in seen], [-value for value in audit]
        return stats.audit_p(seen, audit, share, limit), stats.audit_p(*opposite, share, -limit)

    def facts(self) -> str:
        judged = self.judged
        parts = []
        for pairs, what in ((judged.discordant, "on which the judge sees a difference"), (judged.audited, "on which it sees none")):
            worse, better = (sum(pair.people == sign for pair in pairs) for sign in (1, -1))
            of_all = f" of {len(judged.concordant)}" if pairs is judged.audited else ""
            parts.append(f"{worse} worse and {better} better of {len(pairs)}{of_all} pairs {what}")
        bound = f"drop {percent(self.estimate)} ({self.confidence} bound {percent(self.bound)})"
        return f"{self.n} held-out examples; people call the student {', '.join(parts)}; {bound}"

    def advice(self, limit: float) -> str:
        if self.exact >= Fraction(repr(limit)):
            return HOPELESS
        share = len(self.judged.audited) < len(self.judged.concordant) and self.judged.judge.audit < ADVISED
        return (
            f"Judge(audit={ADVISED}) has people check more than {self.judged.judge.audit} random pairs"
            if share
            else "more examples may decide"
        )
