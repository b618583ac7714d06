"""Make the rows of the evidence summarization task from its banks of passages and questions.

    python -m training.rows.evidence_summarization                                # tasks/data/evidence_summarization/{train,heldout}.jsonl
    python -m training.rows.evidence_summarization --out DIR --rows N --seed S    # DIR/teacher.jsonl: further training rows
    python -m training.rows.evidence_summarization --figures                      # what the data card says

The banks (evidence_summarization_python.jsonl, evidence_summarization_more.jsonl) hold one passage a line, with questions in several
wordings, the span that answers each, sometimes the same fact in other words, questions that the passage leaves open, and a variant that
states another value; evidence_summarization_distractors.jsonl holds passages without questions. A row draws a question, lays its passage among others of the same side of the split (near ones first), and
derives the reference from what it laid there. Passages that are close in words stay on one side; none appears on both.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.rows import written

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "tasks" / "data" / "evidence_summarization"
TOKENIZER = HERE.parent / "checkpoints" / "reference-teacher"
BANKS = ("python", "more", "distractors")
HELDOUT_ROWS, TRAIN_ROWS, SEED = 400, 3600, 20
CLEAR = 8.0
HELDOUT_SHARE = {"asked": 0.2, "distractor": 0.4}
MOST_TOKENS, LONG_TOKENS = 440, 300

# An item hedges where one of these stands in it; the confidence of an answer taken from it is then "medium".
HEDGE = re.compile(
    r"(?i)\b((?-i:may)|might|usual|usually|typical|typically|normally|generally|often|mostly|sometimes|probably|likely|possibly|approximately"
    r"|(?:about|around) (?=[\d.])|(?:by|per) default|in general|in practice|most of the time|in most cases|some (?:platforms|systems|cases)|(?:many|other|most) (?:platforms|systems)"
    r"|depends on|depending on|(?:platform|system|database|implementation)[- ]dependent)\b"
)
# Words that say nothing about what a passage or question is on.
STOP = frozenset(
    re.findall(
        r"\S+",
        "a an the is are was were be been do does did how what which when where why who whose i my me it its this that these those if in on of to"
        " for from by with without at as and or not no can could should must may will would get give gives given there then than other otherwise"
        " value values default defaults return returns returned raise raises raised use used using make makes after before now so say whats what's",
    )
)


@dataclass
class Passage:
    source: str
    text: str
    reworded: str | None
    questions: list[dict[str, Any]]
    unanswerable: list[str]
    conflict: str | None
    conflict_answer: str | None
    words: frozenset[str] = field(default_factory=frozenset)


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say what it is about; a dotted or underscored name counts whole and in parts."""
    found = re.findall(r"[a-z0-9_.]+", text.lower())
    parts = [part for word in found for part in (word.strip("."), *re.split(r"[._]", word))]
    return frozenset(part for part in parts if len(part) > 1 and part not in STOP)


def shingles(text: str) -> frozenset[str]:
    words = text.lower().split()
    return frozenset(" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def has_words(text: str, span: str) -> bool:
    """Does the span stand in the text, not inside a longer word or number?"""
    return re.search(r"(?<![\w.])" + re.escape(span) + r"(?![\w]|\.\d)", text) is not None


def read_banks() -> list[Passage]:
    """Every sound line of the banks; a line, question or variant that breaks the rules of the bank is left out."""
    passages = []
    seen: set[str] = set()
    for bank in BANKS:
        path = HERE / f"evidence_summarization_{bank}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                raw = json.loads(line)
            except json.JSONDecodeError:  # the last line of a bank that is still being written
                continue
            text = raw["passage"].strip()
            if text in seen or not text.isascii():
                continue
            seen.add(text)
            reworded = raw.get("reworded") or None
            questions = []
            for question in raw.get("questions", []):
                answer = question["answer"].strip()
                if not answer or answer not in text or len(answer.split()) > 12 or not question["ask"]:
                    continue
                span = question.get("in_reworded")
                asks = [ask for ask in question["ask"] if ask.isascii()]
                questions.append({"ask": asks, "answer": answer, "in_reworded": span if span and reworded and span in reworded else None})
            conflict, conflict_answer = raw.get("conflict") or None, raw.get("conflict_answer") or None
            if not (conflict and conflict_answer and conflict_answer in conflict and conflict.isascii()):
                conflict = conflict_answer = None
            if questions or bank == "distractors":
                open_questions = raw.get("unanswerable") or []
                passages.append(Passage(raw["source"], text, reworded, questions, open_questions, conflict, conflict_answer))
    for passage in passages:
        passage.words = content_words(f"{passage.text} {passage.source}")
    drop_vague(passages)
    return passages


def stems(text: str) -> frozenset[str]:
    return frozenset(word.rstrip("s")[:6] for word in content_words(text))


def names(text: str) -> frozenset[str]:
    """The identifiers in a text: what stands before its colon, and words with a capital, a digit or an underscore inside."""
    head = re.match(r"[\w.]+(?=: )", text)
    found = re.findall(r"[A-Za-z_.]*(?:[a-z][A-Z]|[A-Za-z]\d|\w_\w|\w\.\w)[\w.]*|\b[A-Z]{3,}\b", text) + ([head[0]] if head else [])
    return frozenset(part for word in found for part in re.split(r"\.", word.lower()) if len(part) > 3 and part not in STOP)


def drop_vague(passages: list[Passage]) -> None:
    """Leave out the wordings that do not say what they ask about: too little of them is found in the passage, rare words counting more."""
    found = [stems(f"{passage.text} {passage.reworded or ''} {passage.source}") for passage in passages]
    count = Counter(word for words in found for word in words)

    def clear(ask: str, passage: Passage, words: frozenset[str], enough: float) -> bool:
        weight = sum(math.log(len(passages) / count[word]) for word in stems(ask) & words)
        return weight >= enough or bool(names(passage.text) & set(re.findall(r"\w+", ask.lower())))

    for passage, words in zip(passages, found, strict=True):
        for question in passage.questions:
            question["ask"] = [ask for ask in question["ask"] if clear(ask, passage, words, CLEAR)]
        passage.questions = [question for question in passage.questions if question["ask"]]
        passage.unanswerable = [ask for ask in passage.unanswerable if clear(ask, passage, words, CLEAR / 2)]


def index(passages: list[Passage]) -> dict[str, list[int]]:
    """For every word the passages that have it."""
    holders: dict[str, list[int]] = {}
    for i, passage in enumerate(passages):
        for word in sorted(passage.words):
            holders.setdefault(word, []).append(i)
    return holders


def split(passages: list[Passage]) -> tuple[list[Passage], list[Passage]]:
    """Training and held-out passages: passages that are close in words stay together, the groups are drawn at random."""
    parent = list(range(len(passages)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    holders = index(passages)
    for i, passage in enumerate(passages):
        for j in {j for word in passage.words if len(holders[word]) <= 30 for j in holders[word] if j < i}:
            if jaccard(passage.words, passages[j].words) >= 0.5 or jaccard(shingles(passage.text), shingles(passages[j].text)) >= 0.4:
                parent[root(i)] = root(j)
    groups: dict[int, list[Passage]] = {}
    for i, passage in enumerate(passages):
        groups.setdefault(root(i), []).append(passage)
    # A group is drawn by its own text, so that a bank that grows does not reshuffle the rest.
    train: list[Passage] = []
    heldout: list[Passage] = []
    for group in groups.values():
        share = HELDOUT_SHARE["asked" if any(passage.questions for passage in group) else "distractor"]
        side = heldout if random.Random(min(passage.text for passage in group)).random() < share else train
        side.extend(group)
    return train, heldout


def conflicting(passage: Passage) -> dict[str, Any] | None:
    """The question that the variant answers otherwise: alike in the form of the answer, nearest to the variant in words; none where unsure."""
    if not passage.conflict or not passage.conflict_answer:
        return None
    told = stems(passage.conflict)
    best, most = None, 1
    for question in passage.questions:
        answer = question["answer"]
        alike = bool(re.search(r"\d", answer)) == bool(re.search(r"\d", passage.conflict_answer))
        if not alike or has_words(passage.conflict, answer) or passage.conflict_answer in answer:
            continue
        shared = max(len(stems(ask) & told) for ask in question["ask"])
        if shared > most:
            best, most = question, shared
    return best


def as_asked(text: str, rng: random.Random, keep: frozenset[str]) -> str:
    """Small accidents of typing: a capital, a lost question mark, two letters swapped in a word that is none of `keep`."""
    if rng.random() < 0.25 and text[:1].islower() and not re.match(r"\w*[._(]", text):
        text = text[0].upper() + text[1:]
    if rng.random() < 0.15:
        text = text.rstrip("?")
    elif (
        rng.random() < 0.2
        and not text.endswith("?")
        and re.match(r"(what|how|which|when|where|why|does|is|can|who)\b", text, re.IGNORECASE)
    ):
        text += "?"
    if rng.random() < 0.04:
        words = text.split()
        plain = [i for i, word in enumerate(words) if word.isalpha() and word.islower() and len(word) > 4 and word not in keep]
        if plain:
            at = rng.choice(plain)
            cut = rng.randrange(1, len(words[at]) - 2)
            word = words[at]
            words[at] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
            text = " ".join(words)
    return text


class Maker:
    """Draws rows from the passages of one side."""

    def __init__(self, passages: list[Passage], seed: int) -> None:
        self.passages = passages
        self.asked_of = [passage for passage in passages if passage.questions]
        self.rng = random.Random(seed)
        self.holders = index(passages)
        self.rare = {word for word, who in self.holders.items() if len(who) <= max(3, len(passages) // 40)}
        self.by_source: dict[str, list[int]] = {}
        for i, passage in enumerate(passages):
            self.by_source.setdefault(passage.source, []).append(i)

    def others(self, passage: Passage, question: str, answers: list[str], how_many: int, sure: bool, wordy: bool) -> list[str]:
        """Texts of other passages, near ones first. `sure`: take none that might answer it by some stretch; `wordy`: prefer long ones."""
        asked = content_words(question)

        def fits(other: Passage) -> bool:
            shared = asked & other.words
            if other is passage or (len(shared) >= 2 and any(has_words(other.text, answer) for answer in answers)):
                return False
            most = 5 if not sure else 3 if other.source == passage.source else 2
            return len(shared & self.rare) < most

        near = {i for word in asked & self.rare for i in self.holders[word]} | set(self.by_source[passage.source])
        scored = []
        for i in sorted(near):
            other = self.passages[i]
            points = 3 * len(asked & other.words) + (other.source == passage.source) + len(passage.words & other.words & self.rare)
            scored.append((points + self.rng.random() * 3, i))
        scored.sort(reverse=True)
        close = [i for _, i in scored if fits(self.passages[i])]
        if wordy:
            picked = sorted(close[: 8 * how_many], key=lambda i: -len(self.passages[i].text))[:how_many]
        else:
            nearest, close = close[: self.rng.choice((0, 1, 1, 2))], close[: 2 * how_many]
            self.rng.shuffle(close)
            close = nearest + [i for i in close if i not in nearest]
            picked = close[: self.rng.randint(max(1, how_many - 2), how_many)]
        while len(picked) < how_many:
            i = self.rng.randrange(len(self.passages))
            if i not in picked and i not in near and fits(self.passages[i]):
                picked.append(i)
        chosen = [self.passages[i] for i in picked]
        return [other.reworded if other.reworded and self.rng.random() < 0.3 else other.text for other in chosen]

    def row(self, passage: Passage) -> dict[str, Any] | None:
        rng = self.rng
        draw = rng.random()
        tags = []
        gold: list[tuple[str, str]] = []  # text, the span in it
        open_question = False
        if draw < 0.16 and passage.unanswerable:
            question = rng.choice(passage.unanswerable)
            open_question = True
        else:
            entry = rng.choice(passage.questions)
            clash = conflicting(passage)
            if clash is not None and rng.random() < 0.45:
                entry = clash
                gold = [(passage.text, clash["answer"]), (passage.conflict or "", passage.conflict_answer or "")]
                tags.append("conflict")
            elif entry["in_reworded"] and rng.random() < 0.45:
                gold = [(passage.text, entry["answer"]), (passage.reworded or "", entry["in_reworded"])]
                tags.append("two-sources")
            elif entry["in_reworded"] and rng.random() < 0.2:
                gold = [(passage.reworded or "", entry["in_reworded"])]
            else:
                gold = [(passage.text, entry["answer"])]
            question = rng.choice(entry["ask"])
            if rng.random() < 0.18:  # the same question, with the passage that answers it taken away
                gold, tags = [], []
        wordy = rng.random() < 0.1
        how_many = 5 if wordy else rng.choice((3, 4, 4, 5))
        answers = [span for _, span in gold] or [q["answer"] for q in passage.questions if question in q["ask"]]
        if not gold:
            tags.append("unanswerable")
        fixed = [text for text, _ in gold] + ([passage.text] if open_question else [])
        distractors = self.others(passage, question, answers, max(1, how_many - len(fixed)), not gold, wordy)
        texts = fixed + distractors
        if not 3 <= len(texts) <= 5:
            return None
        rng.shuffle(texts)
        ids = [f"e{n}" for n in rng.sample(range(1, 10), len(texts))]
        spans = dict(gold)
        cited = [name for name, text in zip(ids, texts, strict=True) if text in spans]
        first = next((text for text in texts if text in spans), None)
        hedged = any(HEDGE.search(text) for text in spans)
        if hedged:
            tags.append("hedged")
        confidence = "low" if not gold else "medium" if hedged or "conflict" in tags else "high"
        asked = content_words(question)
        if any(len(asked & content_words(text)) >= 2 for text in texts if text not in spans):
            tags.append("near-distractor")
        expected = {
            "answerable": bool(gold),
            "answer": spans[first] if first is not None else "",
            "cited_ids": cited,
            "confidence": confidence,
        }
        items = "\n".join(f"[{name}] {text}" for name, text in zip(ids, texts, strict=True))
        return {"items": items, "question": as_asked(question, rng, passage.words), "expected": expected, "tags": tags}

    def rows(self, how_many: int, tokens: Tokens, seen: set[str]) -> list[dict[str, Any]]:
        """That many different rows, every passage in turn."""
        made: list[dict[str, Any]] = []
        order: list[Passage] = []
        while len(made) < how_many:
            if not order:
                # A passage comes up as often as it has questions, at most three times a round.
                order = [passage for passage in self.asked_of for _ in range(min(3, len(passage.questions)))]
                self.rng.shuffle(order)
            row = self.row(order.pop())
            if row is None:
                continue
            key = row["items"] + row["question"]
            length = tokens.count(row)
            if key in seen or length > MOST_TOKENS:
                continue
            seen.add(key)
            if length > LONG_TOKENS:
                row["tags"].append("long")
            made.append(row)
        return made


class Tokens:
    """Counts what a model reads and writes for a row."""

    def __init__(self) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(str(TOKENIZER))

    def count(self, row: dict[str, Any]) -> int:
        text = f"{row['items']}\n? {row['question']}\nJSON: {json.dumps(row['expected'])}"
        return len(self.tokenizer(text)["input_ids"])


def write(path: Path, rows: list[dict[str, Any]], name: str, digits: int) -> None:
    lines = []
    for number, row in enumerate(rows, 1):
        line = {"id": f"{name}-{number:0{digits}d}", **row}
        if not line["tags"]:
            del line["tags"]
        lines.append(json.dumps(line) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


def too_near(heldout: list[dict[str, Any]], train: list[dict[str, Any]]) -> int:
    """How many held-out rows are near a training row in every field at once."""
    learned = [(shingles(row["items"]), shingles(row["question"])) for row in train]
    near = 0
    for row in heldout:
        items, question = shingles(row["items"]), shingles(row["question"])
        near += any(jaccard(question, q) >= 0.8 and jaccard(items, i) >= 0.8 for i, q in learned)
    return near


def figures() -> None:
    tokens = Tokens()
    passages = read_banks()
    train_side, heldout_side = split(passages)
    wordings = sum(len(question["ask"]) for passage in passages for question in passage.questions)
    questions = sum(len(passage.questions) for passage in passages)
    asked = [sum(bool(passage.questions) for passage in side) for side in (train_side, heldout_side)]
    print(f"{sum(asked)} passages with questions ({asked[0]} train, {asked[1]} held-out), {questions} questions in {wordings} wordings")
    print(f"{len(passages) - sum(asked)} passages without")
    print(f"{sum(len(p.unanswerable) for p in passages)} open questions, {sum(bool(p.reworded) for p in passages)} reworded passages")
    print("sources:", len({passage.source for passage in passages}))
    splits = {name: written(DATA / f"{name}.jsonl") for name in ("heldout", "train")}
    print("| split | rows | answerable | high | medium | low | two ids cited | tokens 50th/95th/max |\n|---|---|---|---|---|---|---|---|")
    for name, rows in splits.items():
        counts = sorted(tokens.count(row) for row in rows)
        by = Counter(row["expected"]["confidence"] for row in rows)
        two = sum(len(row["expected"]["cited_ids"]) == 2 for row in rows)
        yes = sum(row["expected"]["answerable"] for row in rows)
        lengths = f"{counts[len(counts) // 2]}/{counts[len(counts) * 95 // 100]}/{counts[-1]}"
        print(f"| {name} | {len(rows):,} | {yes:,} | {by['high']:,} | {by['medium']:,} | {by['low']:,} | {two:,} | {lengths} |")
        print("  tags:", dict(Counter(tag for row in rows for tag in row.get("tags", [])).most_common()))
        answers = Counter(row["expected"]["answer"] for row in rows if row["expected"]["answerable"])
        print("  commonest answers:", answers.most_common(4))
    texts = {name: {line[5:] for row in rows for line in row["items"].split("\n")} for name, rows in splits.items()}
    print("passages on both sides:", len(texts["heldout"] & texts["train"]))
    print("held-out rows near a training row:", too_near(splits["heldout"], splits["train"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for further training rows (teacher.jsonl)")
    parser.add_argument("--rows", type=int, default=TRAIN_ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--figures", action="store_true")
    args = parser.parse_args()
    if args.figures:
        figures()
        return
    tokens = Tokens()
    train_side, heldout_side = split(read_banks())
    train = Maker(train_side, SEED).rows(TRAIN_ROWS, tokens, set())
    if args.out:
        seen = {row["items"] + row["question"] for row in train}
        rows = Maker(train_side, SEED + 1 + args.seed).rows(args.rows, tokens, seen)
        write(args.out / "teacher.jsonl", rows, "teacher", 5)
        return
    write(DATA / "train.jsonl", train, "train", 5)
    write(DATA / "heldout.jsonl", Maker(heldout_side, SEED + 1).rows(HELDOUT_ROWS, tokens, set()), "heldout", 4)


if __name__ == "__main__":
    main()
