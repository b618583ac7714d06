"""Make rows that can only be answered by copying: training rows whose telling words are swapped for others, wherever they stand.

    python -m training.rows.swap                       # adds them to the tasks' train.jsonl, in place of those that stand there
    python -m training.rows.swap --extra build/rows    # writes build/rows/<task>/swapped.jsonl, for the teacher alone

A model of a few million weights learns the rewrites and names of its training rows by heart, and then fails where it has to copy a word that it
has not seen there. So in these rows the words of the reference that stand in the prompt are other ones each time, drawn from the pretraining
text, the same in prompt and reference. The rows read oddly, and are tagged `swapped`: they are for a model to learn from, never to judge on.
"""

from __future__ import annotations

import argparse
import builtins
import json
import keyword
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from training.rows import SWAPPED, written
from training.rows.evidence_summarization import HEDGE
from training.rows.query_rewriting import STOP

DATA = Path(__file__).parents[2] / "tasks" / "data"
WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{2,}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
KEPT = {*keyword.kwlist, *dir(builtins), *sys.stdlib_module_names, "self", "cls", "module", "tests", "Traceback", "File", "line"}
SHARE = 0.8  # of the telling words, how many are swapped


class Pool:
    """Words to put in: single ones of the pretraining text, and now and then two of them joined as names are."""

    def __init__(self, corpus: Path, rng: random.Random) -> None:
        counts = Counter(re.findall(r"\b[a-z]{3,10}\b", corpus.read_text(encoding="ascii")))
        self.words = sorted(word for word, count in counts.items() if count >= 8 and word not in STOP and word not in KEPT)
        self.rng = rng

    def like(self, word: str) -> str:
        """Return another word in the style of this one: its case, and its parts where it is a name of several."""
        parts = [self.rng.choice(self.words) for _ in range(min(3, word.strip("_").count("_") + 1))]
        if "_" not in word and word[:1].isupper() and not word.isupper() and any(letter.isupper() for letter in word[1:]):
            return "".join(part.capitalize() for part in (parts[0], self.rng.choice(self.words)))
        made = "_".join(parts)
        made = made.upper() if word.isupper() else made.capitalize() if word[:1].isupper() else made
        return "_" * (len(word) - len(word.lstrip("_"))) + made


def replaced(text: str, swaps: dict[str, str], pattern: re.Pattern[str]) -> str:
    """Return the text with each whole word that `swaps` names put another way."""
    return pattern.sub(lambda found: swaps.get(found[0], found[0]), text)


def swaps_of(telling: Iterable[str], prompt: str, pool: Pool, pattern: re.Pattern[str]) -> dict[str, str]:
    """Choose another word for most of the telling words that stand in the prompt, in each case in which they stand there."""
    standing = pattern.findall(prompt)
    found: dict[str, str] = {}
    for word in sorted({word.lower() for word in telling}):
        if pool.rng.random() < SHARE:
            other: dict[bool, str] = {}
            for form in sorted({each for each in standing if each.lower() == word}):
                new = other.setdefault("_" in form, pool.like(form))
                found[form] = (
                    new.upper() if form.isupper() else new[:1].upper() + new[1:] if form[:1].isupper() else new[:1].lower() + new[1:]
                )
    return found


def changer(swaps: dict[str, str]) -> Callable[[str], str]:
    """Return what puts these words into a text; a reference may write one in lower case that its prompt does not."""
    both = {form.lower(): new.lower() for form, new in swaps.items()} | swaps
    return lambda text: replaced(text, both, WORD)


def rewriting(row: dict[str, Any], pool: Pool) -> dict[str, Any] | None:
    """Swap the words of the rewrites that stand in the dialogue."""
    if "typo" in row.get("tags", ()):
        return None
    prompt = f"{row['conversation']}\n{row['question']}"
    telling = [word for word in WORD.findall(" ".join(row["expected_any"])) if word.lower() not in STOP]
    swaps = swaps_of(telling, prompt, pool, WORD)
    change = changer(swaps)
    made = {
        "conversation": change(row["conversation"]),
        "question": change(row["question"]),
        "expected_any": [*map(change, row["expected_any"])],
    }
    return {**row, **made} if swaps else None


def evidence(row: dict[str, Any], pool: Pool) -> dict[str, Any] | None:
    """Swap the words of question and answer that stand in the items."""
    telling = [
        word for word in WORD.findall(f"{row['question']} {row['expected']['answer']}") if len(word) > 3 and word.lower() not in STOP
    ]
    swaps = swaps_of(telling, row["items"], pool, WORD)
    change = changer(swaps)
    items, expected = change(row["items"]), {**row["expected"], "answer": change(row["expected"]["answer"])}
    # A hedging word that went, or came, would make the confidence wrong.
    hedged = [[bool(HEDGE.search(item)) for item in text.splitlines()] for text in (row["items"], items)]
    return {**row, "items": items, "question": change(row["question"]), "expected": expected} if swaps and hedged[0] == hedged[1] else None


def bugs(row: dict[str, Any], pool: Pool) -> dict[str, Any] | None:
    """Swap the names of folders, files and functions, and what the summary quotes."""
    expected = row["expected"]
    prompt = f"{row['diff']}\n{row['error']}"
    quoted = " ".join(re.findall(r"'([^']*)'", expected["summary"]))
    telling = [*NAME.findall(expected["file"].removesuffix(".py")), *NAME.findall(expected["symbol"]), *NAME.findall(quoted)]
    swaps = swaps_of([name for name in telling if name not in KEPT and not name.endswith(("Error", "Exception"))], prompt, pool, NAME)
    swaps = {form: new for form, new in swaps.items() if form not in KEPT}
    change: Callable[[str], str] = lambda text: replaced(text, swaps, NAME)  # noqa: E731
    start, symbol = expected["summary"], expected["symbol"]
    head = symbol if start.startswith(symbol) else ""
    summary = change(head) + re.sub(r"'[^']*'", lambda found: change(found[0]), start[len(head) :])
    made = {**expected, "file": change(expected["file"]), "symbol": change(symbol), "summary": summary}
    return {**row, "diff": change(row["diff"]), "error": change(row["error"]), "expected": made} if swaps else None


MAKERS = {"query_rewriting": rewriting, "evidence_summarization": evidence, "bug_summary": bugs}
FOR_STUDENTS = {"query_rewriting": 6_000, "bug_summary": 1_200}
FOR_THE_TEACHER = {"query_rewriting": 30_000, "evidence_summarization": 16_000, "bug_summary": 12_000}


def made(rows: Sequence[dict[str, Any]], task: str, count: int, pool: Pool) -> list[dict[str, Any]]:
    """Return so many swapped rows."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        row = MAKERS[task](pool.rng.choice(rows), pool)
        if row is not None:
            found.append({**row, "id": f"swapped-{len(found) + 1:05d}", "tags": [*row.get("tags", ()), SWAPPED]})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("build/corpus.txt"))
    parser.add_argument("--extra", type=Path, help="folder of <task>/teacher.jsonl, where the teacher's rows go too")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pool = Pool(options.corpus, random.Random(options.seed))
    for name, count in (FOR_THE_TEACHER if options.extra else FOR_STUDENTS).items():
        learned = written(DATA / name / "train.jsonl")
        if options.extra:
            out, kept = options.extra / name / "swapped.jsonl", []
            learned += written(options.extra / name / "teacher.jsonl")
        else:
            out, kept = DATA / name / "train.jsonl", learned
        rows = [*kept, *made(learned, name, count, pool)]
        out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
        print(f"{out}: {count} swapped rows from {len(learned)}")


if __name__ == "__main__":
    main()
