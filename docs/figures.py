"""Make the tables and pictures of docs/verdict.md: `python docs/figures.py` writes them, `--check` exits 1 where one would change.

Every figure is enumerated exactly or computed by the package itself; no random number is drawn. In all of them the student mends 1 % of the
examples and loses that much more than its true drop: gained = 0.01, lost = drop + 0.01.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import NormalDist
from xml.sax.saxutils import escape

from pytest_distill import stats
from pytest_distill.measures import AccuracyDrop, Bill, Serving, SpeedGain, per_request
from pytest_distill.stats.binomial import binomial_pmf
from pytest_distill.verdict import Judging, percent

HERE = Path(__file__).parent
PAGE = HERE / "verdict.md"
MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

LIMIT, WIDE_LIMIT = 0.05, 0.10
GAINED = 0.01
SIZES = (46, 100, 200, 500, 1000)
DROPS = (0.0, 0.02, 0.05, 0.08, 0.10, 0.15)

# Chances


@cache
def point_chance(n: int, drop: float) -> float:
    """Return the chance that the plain estimate of `n` examples is at most 5 %: (b - c) / n <= 1/20, in whole numbers."""
    lost = (drop + GAINED) / (1 - GAINED)  # of what is not gained
    return sum(binomial_pmf(c, n, GAINED) * stats.binomial_cdf(min(n // 20 + c, n - c), n - c, lost) for c in range(n + 1))


@cache
def gate_chances(n: int, drop: float, limit: float = LIMIT, alpha: float = stats.ALPHA) -> tuple[float, float]:
    """Return the chances that the gate passes and that it is refuted."""
    return stats.drop_chances(n, max(drop + GAINED, 0.0), GAINED, limit, alpha)


def ships_worse(tries: int, passes: Callable[[float], float], mean: float, spread: float) -> float:
    """Return the chance that one of `tries` seeds passes and is worse than the limit, where the first that passes is shipped.

    True drops of seeds are normal about `mean`; each seed is judged on its own.
    """
    points = 200
    drops = [NormalDist(mean, spread).inv_cdf((k + 0.5) / points) for k in range(points)]
    good = math.fsum(passes(drop) for drop in drops if drop <= LIMIT) / points
    bad = math.fsum(passes(drop) for drop in drops if drop > LIMIT) / points
    return bad * (1 - (1 - good - bad) ** tries) / (good + bad)


# Tables


def share(p: float) -> str:
    """Write a chance for people: never 0 % or 100 % where it is neither."""
    if p < 0.0005 or p > 0.9995:
        return "<0.1%" if p < 0.5 else ">99.9%"
    return percent(p, 1 if p < 0.0995 or p > 0.9905 else 0)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, the first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def point_table() -> str:
    """How often the plain estimate meets the limit, and how often a second run says otherwise at the limit."""
    rows = []
    for n in SIZES:
        at_limit = point_chance(n, LIMIT)
        rows.append([n, *(share(point_chance(n, drop)) for drop in DROPS), share(2 * at_limit * (1 - at_limit))])
    return table(["examples", *(percent(drop, -1) for drop in DROPS), "re-run differs at 5%"], rows)


def gate_table() -> str:
    """The chances of the three outcomes, in whole percent."""
    rows = []
    for n in SIZES:
        cells = []
        for drop in DROPS:
            shown, refuted = gate_chances(n, drop)
            cells.append(" / ".join(f"{100 * p:.0f}" for p in (shown, 1 - shown - refuted, refuted)))
        rows.append([n, *cells])
    return table(["examples", *(percent(drop, -1) for drop in DROPS)], rows)


def fewest_table() -> str:
    """The fewest examples at which so many losses can pass."""
    rows = [[lost, *(stats.fewest_examples(lost, 0, limit) for limit in (0.02, LIMIT, WIDE_LIMIT))] for lost in range(5)]
    return table(["lost (none gained)", "limit 2%", "limit 5%", "limit 10%"], rows)


def plan_table() -> str:
    """How many examples pass a 5 % limit in four runs of five."""
    shares = (0.02, 0.04, 0.10)
    rows = [[percent(drop, -1), *(stats.examples_for_power(part, drop, LIMIT) for part in shares)] for drop in (0.0, 0.01, 0.02)]
    return table(["true drop", *(f"{percent(part, -1)} differ" for part in shares)], rows)


def wide_table() -> str:
    """The chance to pass a 10 % limit with few examples."""
    drops = (0.0, 0.02, 0.05, 0.10, 0.15)
    rows = [[n, *(share(gate_chances(n, drop, WIDE_LIMIT)[0]) for drop in drops)] for n in (30, 46, 60, 100)]
    return table(["examples", *(percent(drop, -1) for drop in drops)], rows)


def retry_table() -> str:
    """How often a seed that is worse than 5 % is shipped."""
    rows = []
    for n, tries, mean, spread in ((46, 5, 0.08, 0.015), (200, 5, 0.065, 0.015), (500, 3, 0.05, 0.01)):

        def by_gate(drop: float, n: int = n, alpha: float = stats.ALPHA) -> float:
            return gate_chances(n, drop, LIMIT, alpha)[0]

        def by_point(drop: float, n: int = n) -> float:
            return point_chance(n, drop)

        def by_shared(drop: float, n: int = n, tries: int = tries) -> float:
            return gate_chances(n, drop, LIMIT, stats.ALPHA / tries)[0]

        chances = [(1, by_point), (tries, by_point), (1, by_gate), (tries, by_gate), (tries, by_shared)]
        row = [share(ships_worse(count, passes, mean, spread)) for count, passes in chances]
        rows.append([f"{n} examples, {tries} seeds, {percent(mean, -1)} ± {percent(spread, -1)}", *row])
    return table(["", "estimate, once", "estimate, until green", "gate, once", "gate, until green", "gate, seeds declared"], rows)


def seeds_table() -> str:
    """The fewest examples that can pass, by declared seeds."""
    seeds = (1, 2, 3, 5, 10)
    fewest = [stats.fewest_examples(0, 0, LIMIT, stats.ALPHA / k) for k in seeds]
    return table(["declared seeds", *map(str, seeds)], [["fewest examples, nothing lost", *fewest]])


def several_table() -> str:
    """Ten gates: all pass, and one at least refuted."""
    rows = []
    for n in (200, 500, 1000):
        at = {drop: gate_chances(n, drop) for drop in (0.0, 0.01, 0.02, LIMIT, 0.08)}
        one_bad = at[0.08][0] * at[0.0][0] ** 9
        alarm = 1 - (1 - at[LIMIT][1]) ** 10
        rows.append([n, *(share(at[drop][0] ** 10) for drop in (0.0, 0.01, 0.02)), share(one_bad), share(alarm)])
    return table(
        ["examples a gate", "all at no drop", "all at 1%", "all at 2%", "one of them at 8%", "one refuted, all at 5%, uncorrected"], rows
    )


def speed_table() -> str:
    """How many pairs must beat the limit."""
    pairs = (30, 50, 100, 200)
    wins = [next(k for k in range(n + 1) if stats.sign_p(k, n) <= stats.ALPHA) for n in pairs]
    return table(["pairs timed", *map(str, pairs)], [["must beat the limit", *wins]])


def percentile_table() -> str:
    """How few timings a percentile can be bounded from."""
    ranks = (90, 95, 99)
    return table(
        ["percentile", *(f"p{rank}" for rank in ranks)], [["timings", *(stats.fewest_for_percentile(rank / 100) for rank in ranks)]]
    )


def cost_bill() -> Bill:
    """Return the bill of the worked example."""
    serving = Serving(usd_per_hour=2, requests_per_month=1_000_000, training_usd=200, months=6, requests_per_second=2)
    return Bill(per_request((3, 0.3, 15), 800, 0, 150), 0.0, serving, 2)


def cost_table() -> str:
    """The worked example's bills a month."""
    bill, rows = cost_bill(), []
    assert bill.break_even is not None
    for requests in (50_000, 100_000, bill.break_even, 1_000_000, 5_000_000):
        student = bill.fixed(bill.replicas(requests))
        rows.append(
            [
                f"{requests:,.0f}",
                f"${requests * bill.teacher:,.0f}",
                f"${student:,.0f}",
                bill.replicas(requests),
                f"{bill.gain(requests):.2f} times",
            ]
        )
    return table(["requests a month", "teacher", "student", "replicas", "cost gain"], rows)


def message(judge: Callable[[], object]) -> str:
    """Return what a gate says that does not pass, as a block."""
    try:
        judge()
    except AssertionError as error:
        return f"```\nAssertionError: {error}\n```"
    raise ValueError("the gate passes: nothing is said")


def judged(both_right: int, introduced: int, corrected: int, inherited: int, agreed: int = 0, unlabelled: int = 0) -> Callable[[], object]:
    """Return a gate at 5 % on these counts of examples."""
    drop = AccuracyDrop(both_right, introduced, corrected, inherited, agreed, unlabelled, judging=Judging())
    return lambda: bool(drop <= LIMIT)


def tables() -> dict[str, str]:
    """Return every table and message of the page by its name."""
    bill = cost_bill()
    return {
        "point": point_table(),
        "gate": gate_table(),
        "fewest": fewest_table(),
        "plan": plan_table(),
        "wide": wide_table(),
        "message-tiny": message(judged(both_right=43, introduced=1, corrected=0, inherited=2)),
        "message-hopeless": message(judged(both_right=177, introduced=13, corrected=2, inherited=8)),
        "message-refuted": message(judged(both_right=158, introduced=32, corrected=2, inherited=8)),
        "message-unlabelled": message(judged(0, 0, 0, 0, agreed=471, unlabelled=29)),
        "message-recorded": message(lambda: bool(SpeedGain([3.0] * 50, "recorded", "2026-03-02T10:00:00Z", judging=Judging()) >= 2)),
        "retry": retry_table(),
        "seeds": seeds_table(),
        "several": several_table(),
        "speed": speed_table(),
        "percentile": percentile_table(),
        "cost": cost_table(),
        "cost-line": f"A request to the teacher costs ${bill.teacher:.5f}; the student pays from {bill.break_even:,.0f} requests a month on.",
    }


# Pictures

STYLE = """
.bg{fill:#ffffff}.ink{fill:#1f2328}.dim{fill:#57606a}.axis{stroke:#57606a}.grid{stroke:#d8dee4}.worse{fill:#f3f4f6}
.line{fill:none;stroke-width:2.5}.a{stroke:#bc4c00}.b{stroke:#0969da}.c{stroke:#1a7f37}
.shown{fill:#0969da}.unsure{fill:#c4ccd4}.refuted{fill:#bc4c00}
@media (prefers-color-scheme:dark){.bg{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9da7b3}.axis{stroke:#9da7b3}.grid{stroke:#30363d}.worse{fill:#1b222c}
.a{stroke:#ffa657}.b{stroke:#79c0ff}.c{stroke:#56d364}.shown{fill:#58a6ff}.unsure{fill:#545d68}.refuted{fill:#f0883e}}
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}.head{font-weight:600;font-size:14px}
"""
DASHES = {"a": "2 4", "b": "9 4", "c": "none"}


def number(value: float) -> str:
    """Write a coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, style: str = "ink", anchor: str = "middle", turn: bool = False) -> str:
    """Return words at a place."""
    turned = f' transform="rotate(-90 {number(x)} {number(y)})"' if turn else ""
    return f'<text class="{style}" x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"{turned}>{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, style: str) -> str:
    """Return a filled rectangle."""
    return f'<rect class="{style}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"/>'


def rule(x1: float, y1: float, x2: float, y2: float, style: str, dash: str = "none") -> str:
    """Return a straight line."""
    return f'<path class="{style}" stroke-dasharray="{dash}" d="M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"/>'


def picture(width: int, height: int, title: str, description: str, parts: Iterable[str]) -> str:
    """Return an SVG document on a ground of its own, so that it can be read wherever it is shown."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(description)}</desc>",
            f"<style>{STYLE}</style>",
            rect(0, 0, width, height, "bg"),
            *parts,
            "</svg>\n",
        ]
    )


def pass_picture() -> str:
    """The chance to pass against the true drop: the plain estimate beside the gate."""
    top, high, wide, most = 78, 230, 300, 0.15
    parts = []
    for at, (style, n) in enumerate(zip("abc", (46, 200, 500), strict=True)):
        x = 190 + 150 * at
        parts += [rule(x, 22, x + 34, 22, f"line {style}", DASHES[style]), text(x + 42, 26, f"{n} examples", anchor="start")]
    panels: tuple[tuple[str, Callable[[int, float], float]], ...] = (
        ("Plain estimate at most 5%", point_chance),
        ("The gate: shown to be at most 5%", lambda n, drop: gate_chances(n, drop)[0]),
    )
    for panel, (head, chance) in enumerate(panels):
        left = 64 + panel * (wide + 52)

        def place(drop: float, p: float, left: int = left) -> tuple[float, float]:
            return left + wide * drop / most, top + high * (1 - p)

        x_limit, _ = place(LIMIT, 0)
        parts += [text(left, top - 14, head, "ink head", "start"), rect(x_limit, top, left + wide - x_limit, high, "worse")]
        for p in (0, 0.25, 0.5, 0.75, 1):
            _, y = place(0, p)
            parts += [rule(left, y, left + wide, y, "grid" if p else "axis"), text(left - 8, y + 4, percent(p, -1), "dim", "end")]
        for drop in (0, 0.05, 0.10, 0.15):
            parts.append(text(place(drop, 0)[0], top + high + 18, percent(drop, -1), "dim"))
        parts += [rule(x_limit, top, x_limit, top + high, "axis"), text(x_limit + 8, top + 18, "worse than the limit", "dim", "start")]
        parts.append(text(left + wide / 2, top + high + 40, "true drop of accuracy"))
        for style, n in zip("abc", (46, 200, 500), strict=True):
            places = [place(k / 200, chance(n, k / 200)) for k in range(31)]
            path = "L".join(f"{number(x)} {number(y)}" for x, y in places)
            parts.append(f'<path class="line {style}" stroke-dasharray="{DASHES[style]}" d="M{path}"/>')
    parts.append(text(16, top + high / 2, "chance to pass", turn=True))
    return picture(
        740,
        362,
        "Chance to pass against the true drop",
        "Left: judged by the plain estimate, students that are worse than the 5 % limit pass often, and at the limit half of the time."
        " Right: the gate passes a student at the limit in at most 5 % of runs, and good students as soon as there are enough examples.",
        parts,
    )


def outcomes_picture() -> str:
    """The three outcomes by the number of examples, at four true drops."""
    drops, top, high, bar, step = (0.0, 0.02, 0.05, 0.08), 78, 220, 28, 35
    parts = []
    for at, (style, words) in enumerate((("shown", "shown: passes"), ("unsure", "inconclusive: fails"), ("refuted", "refuted: fails"))):
        x = 170 + 180 * at
        parts += [rect(x, 13, 16, 16, style), text(x + 24, 26, words, anchor="start")]
    for p in (0, 0.25, 0.5, 0.75, 1):
        y = top + high * (1 - p)
        parts.append(text(56, y + 4, percent(p, -1), "dim", "end"))
    for panel, drop in enumerate(drops):
        left = 66 + panel * (step * len(SIZES) + 14)
        head = f"true drop {percent(drop, -1)}" + (" = limit" if drop == LIMIT else "")
        parts.append(text(left, top - 14, head, "ink head", "start"))
        for at, n in enumerate(SIZES):
            shown, refuted = gate_chances(n, drop)
            y, x = float(top), left + step * at
            for style, p in (("refuted", refuted), ("unsure", 1 - shown - refuted), ("shown", shown)):
                if high * p >= 0.05:
                    parts.append(rect(x, y, bar, high * p, style))
                y += high * p
            parts.append(text(x + bar / 2, top + high + 18, str(n), "dim"))
    parts += [text(420, top + high + 42, "held-out examples"), text(16, top + high / 2, "chance of the outcome", turn=True)]
    return picture(
        820,
        354,
        "The three outcomes at a limit of 5 %",
        "Bars of the chances that the gate is shown, inconclusive or refuted, for 46 to 1000 examples and true drops of 0, 2, 5 and 8 %."
        " With more examples good students pass and bad ones are refuted; a student at the limit stays inconclusive nine times in ten.",
        parts,
    )


# Files


def fill(page: str, made: dict[str, str]) -> str:
    """Return the page with its tables replaced.

    Raises:
        ValueError: the page and `made` do not name the same tables.
    """
    named = [name for _, name, _ in MARKED.findall(page)]
    if sorted(named) != sorted(made):
        raise ValueError(f"tables that only one side knows, or that stand twice: {sorted(set(named) ^ set(made)) or sorted(named)}")
    return MARKED.sub(lambda found: f"{found[1]}\n{made[found[2]]}\n\n{found[3]}", page)


def files() -> dict[Path, str]:
    """Return the content of every file that this script makes."""
    page = PAGE.read_text(encoding="utf-8")
    return {
        PAGE: fill(page, tables()),
        HERE / "pass.svg": pass_picture(),
        HERE / "outcomes.svg": outcomes_picture(),
    }


def changed(made: dict[Path, str]) -> list[Path]:
    """Return the files whose content is another one."""
    return [path for path, content in made.items() if not path.exists() or path.read_text(encoding="utf-8") != content]


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with --check say which would change."""
    made = files()
    would = changed(made)
    for path in would:
        print(f"{path.name} {'would change' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            path.write_text(made[path], encoding="utf-8")
    return int(bool(would) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
