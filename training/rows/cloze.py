"""Make rows that teach a model to find the item that a question is about: cloze questions over the pretraining text.

    python -m training.rows.cloze --corpus build/corpus.txt --rows 20000 --out build/rows/evidence_summarization/cloze.jsonl

A row has the form of evidence summarization. Its items are sentences of one document, or of several; the question holds some words around
a span of one of them, with a question word in its place, and the answer is the span. A quarter of the questions are about a sentence
that is not among the items. Nobody wrote these questions: they are for the teacher to learn from, never to
judge on. Sentences that share five words in a row with a held-out item are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from training.rows.evidence_summarization import HEDGE, STOP

HELDOUT = Path(__file__).parents[2] / "tasks" / "data" / "evidence_summarization" / "heldout.jsonl"
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
WORD = re.compile(r"[\w./:'`()<>=+*-]*\w[\w()'`%]*")
ASKED = ("what", "which", "what is it that", "what exactly", "")
UNANSWERABLE = 0.26


def runs(text: str, length: int = 5) -> set[tuple[str, ...]]:
    """Return all runs of so many words of a text."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def documents(corpus: Path) -> list[list[str]]:
    """Return the sentences of 10 to 40 words of each document that has three or more."""
    held = {run for line in HELDOUT.read_text(encoding="ascii").splitlines() for run in runs(json.loads(line)["items"])}
    found = []
    for document in corpus.read_text(encoding="ascii").split("\0"):
        sentences = []
        for paragraph in document.split("\n\n"):
            text = " ".join(paragraph.split())
            for sentence in SENTENCE.split(text):
                plain = sentence.replace("`", "")
                fits = 10 <= len(plain.split()) <= 40 and plain[0].isupper() and plain.endswith(".") and "  " not in plain
                if fits and plain.count("(") == plain.count(")") and not re.search(r"[|{}\\]|>>>|\.\.\.", plain) and not runs(plain) & held:
                    sentences.append(plain)
        if len(sentences) >= 3:
            found.append(sentences)
    return found


def question_of(sentence: str, rng: random.Random) -> tuple[str, str] | None:
    """Return a question about a span of a sentence and the span; None where there is none worth asking for."""
    words = sentence.rstrip(".").split()
    starts = [at for at, word in enumerate(words) if at and word.lower().strip("(),;:\"'") not in STOP and WORD.search(word)]
    rng.shuffle(starts)
    for start in starts:
        length = min(rng.choice((1, 1, 1, 2, 2, 3, 3, 4, 5, 6)), len(words) - start)
        span = " ".join(words[start : start + length]).strip(",;:")
        last = span.split()[-1].lower()
        if last in STOP or span.count("(") != span.count(")") or span.count('"') % 2 or sentence.count(span) != 1:
            continue
        before, after = words[:start], words[start + length :]
        near = [*before[-rng.randint(3, 9) :], rng.choice(ASKED), *after[: rng.randint(0, 6)]]
        kept = [word for word in near if word and (rng.random() > 0.5 or word.lower() not in STOP) and rng.random() > 0.12]
        if rng.random() < 0.3:
            at = rng.randrange(max(1, len(kept)))
            kept = kept[at:] + kept[:at]
        if sum(word.lower().strip(",.;:()") not in STOP for word in kept) < 3:
            continue
        text = re.sub(r"[,;:]", "", " ".join(kept))
        text = text if rng.random() < 0.3 else text.lower()
        return text + rng.choice(("", "", "?")), span
    return None


def row_of(found: list[list[str]], rng: random.Random) -> dict[str, object] | None:
    """Return the fields and the reference of one row."""
    document = rng.choice(found)
    count = rng.choice((3, 3, 4, 4, 5))
    pool = rng.sample(document, min(len(document), count + 1))
    while len(pool) < count + 1:
        pool.append(rng.choice(rng.choice(found)))
    asked = question_of(pool[0], rng)
    if asked is None or len(set(pool)) < len(pool):
        return None
    question, span = asked
    answerable = rng.random() >= UNANSWERABLE
    items = pool[:count] if answerable else pool[1:]
    rng.shuffle(items)
    if not answerable and any(span in item for item in items):
        return None
    names = [f"e{number}" for number in rng.sample(range(1, 10), count)]
    cited = [name for name, item in zip(names, items, strict=True) if answerable and item == pool[0]]
    confidence = "low" if not answerable else "medium" if HEDGE.search(pool[0]) else "high"
    return {
        "items": "\n".join(f"[{name}] {item}" for name, item in zip(names, items, strict=True)),
        "question": question,
        "expected": {"answerable": answerable, "answer": span if answerable else "", "cited_ids": cited, "confidence": confidence},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("build/corpus.txt"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, found = random.Random(options.seed), documents(options.corpus)
    print(f"{len(found)} documents, {sum(map(len, found))} sentences")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="ascii") as file:
        for number in range(1, options.rows + 1):
            while (row := row_of(found, rng)) is None:
                pass
            file.write(json.dumps({"id": f"cloze-{number:05d}", **row}) + "\n")


if __name__ == "__main__":
    main()
