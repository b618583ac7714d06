"""How often a student passes where a judge, not a person, says which replies differ: a simulation, to be read in docs/simulations.md.

The judge misses half of what the student lost. Judged alone, the more examples the surer it is of what it does not see. The audit bound
lets people check all that the judge calls different and a random part of what it calls equal.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import cache

from pytest_distill import stats

EVALS = 1200
N = 400
LABELS = (60, 100, 200)
DROPS = (0.08, 0.05, 0.0)
LIMIT = 0.05
GAINED = 0.01  # and lost = drop + 0.01
MISSED = 0.5  # of the losses, the judge calls this share equal
FALSE_ALARM = 0.01  # of the equal pairs, the judge calls this share lost, and as many gained


def drawn(chance: random.Random, drop: float) -> tuple[list[int], list[int]]:
    """Return for each example what people would say, and what the judge says: 1 lost, -1 gained, 0 equal."""
    people = chance.choices((1, -1, 0), (drop + GAINED, GAINED, 1 - drop - 2 * GAINED), k=N)
    judge = []
    for truth in people:
        if truth == 1:
            judge.append(0 if chance.random() < MISSED else 1)
        elif truth == -1:
            judge.append(-1)
        else:
            judge.append(chance.choices((1, -1, 0), (FALSE_ALARM, FALSE_ALARM, 1 - 2 * FALSE_ALARM))[0])
    return people, judge


def _values(lost: int, gained: int, n: int) -> list[float]:
    return [1.0] * lost + [-1.0] * gained + [0.0] * (n - lost - gained)


def _counts(values: list[int]) -> tuple[int, int, int]:
    count = Counter(values)
    return count[1], count[-1], len(values)


@cache
def audit_passes(differing: tuple[int, int, int], audited: tuple[int, int, int], share: float) -> bool:
    """Return whether the audit bound passes a drop of at most 5 %."""
    return stats.audit_bound(_values(*differing), _values(*audited), share) <= LIMIT


@cache
def people_pass(checked: tuple[int, int, int]) -> bool:
    """Return whether people's labels of a random part alone pass."""
    return stats.gaffke_p(_values(*checked), LIMIT, 1.0) <= stats.ALPHA


def one(chance: random.Random, drop: float, labels: int) -> tuple[bool, bool, bool, int]:
    """Return whether the judge alone, people alone and the audit pass one evaluation, and how many labels the audit took."""
    people, judge = drawn(chance, drop)
    lost, gained, _ = _counts(judge)
    alone = stats.drop_p(lost, gained, N, LIMIT) <= stats.ALPHA
    by_people = people_pass(_counts(chance.sample(people, labels)))
    equal = [truth for truth, said in zip(people, judge, strict=True) if said == 0]
    differing = [truth if said else 0 for truth, said in zip(people, judge, strict=True)]
    audited = chance.sample(equal, labels)
    return alone, by_people, audit_passes(_counts(differing), _counts(audited), len(equal) / N), lost + gained + labels


def main() -> None:
    """Print the table and what happens without an audit."""
    print(f"{EVALS} evaluations a figure of {N} examples; limit {LIMIT:.0%}; the judge misses {MISSED:.0%} of what is lost")
    print(f"{'true drop':>9}  {'audited':>7}  {'judge alone':>11}  {'people alone':>12}  {'audit':>6}  {'labels taken':>12}")
    figures = {}
    for drop in DROPS:
        for labels in LABELS:
            chance = random.Random(f"{drop} {labels}")
            alone, people, audit, taken = (
                sum(column) / EVALS for column in zip(*(one(chance, drop, labels) for _ in range(EVALS)), strict=True)
            )
            print(f"{drop:>9.0%}  {labels:>7}  {alone:>11.1%}  {people:>12.1%}  {audit:>6.1%}  {taken:>12.0f}", flush=True)
            figures[drop, labels] = alone, audit
    worst = max(figures[LIMIT, labels][1] for labels in LABELS)
    fooled = min(figures[0.08, labels][0] for labels in LABELS)
    print(f"at 5% the audit passes {worst:.1%} at most; at 8% the judge alone passes {fooled:.0%} at least")
    try:
        stats.audit_bound(_values(10, 5, N), [], 0.95)
    except ValueError as error:
        print(f"without an audit: {error}")
    print(f"{time.process_time():.0f} s of one core")


if __name__ == "__main__":
    main()
