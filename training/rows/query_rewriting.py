"""Make the rows of the query-rewriting task from the scenarios written beside this file.

A scenario (one object a line in query_rewriting_*.jsonl) is a topic with alternative openings (the turns before), follow-up messages in several
wordings with their accepted rewrites and, where it has them: `slots` (names that may stand in for each other: a list, or "@pool" from
query_rewriting_pools.jsonl), `base` (the rewrites of the opening question), `constraint` (places or versions that the question can be narrowed to) and
`alone` (questions on the same topic that need no context). A row is one scenario, filled in, and one of eight kinds of last message (`KINDS`).

Scenarios are dealt to the held-out side or the training side by a hash of their topic, and some names by a hash of the name, so neither moves when
scenarios are added. The accepted rewrite that stays closest to the words of the dialogue comes first.

    python -m training.rows.query_rewriting                             # both files of tasks/data/query_rewriting
    python -m training.rows.query_rewriting --out DIR --rows N --seed S # further training rows for a teacher
    python -m training.rows.query_rewriting --figures                   # the figures of the data card
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

from training.rows import written

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = ROOT / "tasks" / "data" / "query_rewriting"
TOKENIZER = ROOT / "training" / "checkpoints" / "reference-teacher" / "tokenizer.json"

SEED = 20
TRAIN_ROWS = 14400
HELDOUT_ROWS = 400
HELDOUT_SCENARIOS = 0.15
HELDOUT_NAMES = 0.3
NEAR = 0.8
RENAMED = 0.35  # share of the rows in which an invented name stands for the scenario's own
UNCOPIED = 0.5  # share of the rows dropped among those none of whose rewrites can be copied word by word
TOKEN_LIMIT = 440

KINDS = {
    "followup": 46,  # straight after the opening
    "chained": 11,  # after another follow-up and its answer
    "moved-on": 9,  # after another topic and then the opening
    "swap": 6,  # the opening question again, for another name
    "correction": 8,  # another name was meant, or another thing
    "constraint": 6,  # the opening question, narrowed
    "switch": 8,  # a question that stands alone, after another topic
    "alone": 8,  # a question that stands alone, after its own topic or after nothing
}

STOP = set(
    re.findall(
        r"\S+",
        """
        a an the of in on for to with at by as into is are was were be been do does did can could should would will may might must have has had i we you
        it its they them their that this there those these my our your me us one ones how what which why when where who whose and or but if so then also
        too as well please ok just get make use need want work it's what's i'm i'd s not any some see possible
        """,
    )
)

LEADS = (
    "ok, ",
    "ok ",
    "thanks, ",
    "Thanks. ",
    "hm, ",
    "got it. ",
    "right, ",
    "cool, ",
    "ah ok. ",
    "great, ",
    "I see. ",
    "good, ",
    "thx, ",
    "perfect. ",
    "fine, ",
)

SWITCHES = (
    "", "", "unrelated: ", "Different topic: ", "btw, ", "thanks! next: ", "ok new question, ", "switching topics - ", "something else: ", "Thanks, that works. ",
    "got it, moving on. ", "ok cool. ", "side question: ", "leave that for now. ", "never mind that. ", "forget it, other thing: ", "one more, unrelated: ",
    "that fixed it. now ", "Changing subject, ", "while you're here, ",
)  # fmt: skip

MOVE_ON = (
    "",
    "",
    "",
    "ok, next thing. ",
    "Thanks. ",
    "great, that works. ",
    "unrelated: ",
    "New topic. ",
    "different question: ",
    "cheers. ",
    "and now something else. ",
)

SWAPS = (
    "and {new}?", "what about {new}?", "same for {new}?", "same question for {new}", "and for {new}?", "how about {new}", "and with {new}?", "and in {new}?",
    "is it the same for {new}?", "hm, and {new}?", "what about {new} instead", "would that differ for {new}?", "ok and how is it with {new}?", "now the same for {new} please",
    "we also have {new}, same thing?", "and the same with {new}", "does {new} do it the same way?", "a colleague has {new}, same question", "i need it for {new} as well",
    "another project has {new}. same there?", "also {new}?",
)  # fmt: skip

CORRECTIONS = (
    "sorry, I meant {new}", "no, {new}", "no, i meant {new}, not {old}", "oops, it's {new} we have", "{new}, not {old}", "my mistake, {new} not {old}",
    "wait, wrong name: {new}", "actually it is {new}", "I said {old} but it should be {new}", "not {old}, {new}", "sorry wrong one. {new}", "correction: {new}",
    "no no, {new}", "ah, we moved from {old} to {new} last month", "hm, I mixed that up with {new}, that is the one i need", "i meant {new} of course",
    "that's the wrong one, I was asking about {new}", "we don't have {old} any more, it's {new} now", "should have said {new}", "I meant to write {new} there",
)  # fmt: skip

NARROWS = {
    "on": (
        "and on {p}?", "on {p}?", "does that also hold on {p}?", "is it different on {p}?", "what about {p}", "same on {p}?", "I'm on {p} btw", "and for {p}?",
        "how about on {p}?", "we run on {p}, if it matters", "and when we're on {p}?", "{p}?", "it has to be on {p}", "hm, I need that on {p}", "ok but on {p}?",
    ),
    "in": (
        "and in {p}?", "in {p}?", "does that also hold in {p}?", "is it different in {p}?", "what about {p}", "same in {p}?", "I need it in {p}", "and for {p}?",
        "how about in {p}?", "only in {p} I mean", "{p}?", "it happens in {p}, does it matter", "and how is that in {p}", "ok but in {p}?", "in {p} too?",
    ),
    "with": (
        "and with {p}?", "we're using {p}", "does that also hold with {p}?", "is it different with {p}?", "what about {p}", "same with {p}?", "and for {p}?",
        "how about with {p}", "{p}?", "together with {p}?", "we have {p}, if that matters", "ok but with {p}?",
    ),
    "": (
        "and {p}?", "what about {p}?", "{p}?", "same for {p}?", "how about {p}", "is {p} different?", "and for {p}?", "for {p} I mean", "only for {p}?", "{p} too?",
        "does it also hold for {p}?", "I need it for {p}",
    ),
}  # fmt: skip
PREPOSITION = {"@os": "on", "@ci": "on", "@env": "in", "@browser": "in", "@editor": "in", "@db": "with"}


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text only."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9+#%@_./:-]*[a-z0-9+#%]", text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[at : at + 3]) for at in range(max(1, len(found) - 2))}


def jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0


def load(path: Path) -> list[dict]:
    """Objects of a bank; a last line that is still being written is left out."""
    rows = []
    for line in path.read_text(encoding="ascii", errors="ignore").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def scenarios() -> tuple[list[dict], list[dict]]:
    """The training scenarios and the held-out ones."""
    seen = set()
    sides: tuple[list[dict], list[dict]] = ([], [])
    for name in ("query_rewriting_bank.jsonl", "query_rewriting_more.jsonl"):
        for scenario in load(HERE / name):
            if scenario["topic"] in seen:
                scenario["topic"] += " (2)"
            seen.add(scenario["topic"])
            sides[share("scenario " + scenario["topic"]) < HELDOUT_SCENARIOS].append(scenario)
    return sides


REAL = {
    "python",
    "java",
    "go",
    "rust",
    "javascript",
    "typescript",
    "aws",
    "ios",
    "android",
    "windows",
    "linux",
    "macos",
    "kubernetes",
    "sql",
    "google",
    "azure",
    "apache",
}


def own_name(scenario: dict) -> str | None:
    """The name with which the rewrites of a scenario without slots begin, where each opening has it too: another may take its place."""
    if "slots" in scenario:
        return None
    queries = [follow["query"][0].split() for follow in scenario["followups"]]
    heads = Counter(" ".join(query[:size]) for query in queries for size in (1, 2) if all(word[:1].isupper() for word in query[:size]))
    for head, count in sorted(heads.items(), key=lambda item: (-item[1], -len(item[0]))):
        everywhere = all(head.lower() in " ".join(turns).lower() for turns in scenario["openings"])
        if everywhere and count >= 3 and len(head) > 2 and head.split()[0].lower() not in REAL:
            return head
    return None


def renamed(scenario: dict, old: str, new: str) -> dict:
    """The scenario with another name in its own name's place."""

    article = "an " if new[0].lower() in "aeio" else "a "

    def other(found: re.Match[str]) -> str:
        before, name = found.groups()
        return (before[:1] + article[1:] if before else "") + (new.lower() if name.islower() else new)

    pattern = r"(\b[aA]n? )?(?<![A-Za-z0-9])(" + re.escape(old) + r")(?![A-Za-z0-9])"
    return json.loads(re.sub(pattern, other, json.dumps(scenario), flags=re.IGNORECASE))


def reserved(name: str) -> bool:
    """Whether a name is kept for held-out rows."""
    return share("name " + name.lower()) < HELDOUT_NAMES


def covered(text: str, dialogue: str) -> bool:
    return set(words(text)) <= set(words(dialogue))


def as_written(query: str, dialogue: str) -> str:
    """The query with each word in the letters in which the user wrote it last; a capital that only opens a sentence does not count."""
    written = {}
    for previous, word in re.findall(r"(^|\S+\s|\n)(?=([A-Za-z0-9+#%@_./:'-]*[A-Za-z0-9+#%]))", dialogue):
        opens = previous.strip() in ("", "User:") or previous.strip()[-1] in ".?!>"
        if word.lower() != word and (not opens or re.search(r"[a-z0-9][A-Z]|[A-Z]{2}", word)):
            written[word.lower()] = word
        elif word.lower() == word:
            written[word] = word
    return " ".join(written.get(word.lower(), word) if word.lower() not in STOP else word for word in query.split())


class Maker:
    """Draws rows from the scenarios of one side."""

    def __init__(self, bank: list[dict], *, heldout: bool, seed: int) -> None:
        self.bank = bank
        self.heldout = heldout
        self.random = random.Random(seed)
        self.pools = {"@" + pool["pool"]: pool["names"] for pool in load(HERE / "query_rewriting_pools.jsonl")}

    def pick(self) -> dict:
        """A scenario, now and then under an invented name."""
        scenario = self.random.choice(self.bank)
        name = own_name(scenario)
        if name is not None and self.random.random() < RENAMED:
            return renamed(scenario, name, self.random.choice(self.names("@made")))
        return scenario

    def names(self, values: str | list[str]) -> list[str]:
        names = self.pools[values] if isinstance(values, str) else values
        ours = [name for name in names if reserved(name) == self.heldout]
        if self.heldout:
            return ours if ours and self.random.random() < 0.6 else names
        return ours or names

    def fill(self, scenario: dict) -> dict[str, str]:
        slots: dict[str, str] = {}
        for slot, values in scenario.get("slots", {}).items():
            slots[slot] = self.random.choice([name for name in self.names(values) if name not in slots.values()])
        return slots

    def opening(self, scenario: dict, slots: dict[str, str]) -> list[str]:
        turns = list(self.random.choice(scenario["openings"]))
        if "base" in scenario and len(turns) == 2 and self.random.random() < 0.35:
            turns[1] = self.random.choice(scenario["openings"])[1]
        turns = [put(turn, slots) for turn in turns]
        if turns[0].startswith("User: ") and self.random.random() < 0.15:
            turns[0] = "User: " + turns[0].removeprefix("User: ").lower()
        return turns

    def base(self, scenario: dict, dialogue: str, slots: dict[str, str]) -> list[str]:
        """The rewrites of the opening question, those that the dialogue covers first."""
        return sorted(scenario["base"], key=lambda query: not covered(put(query, slots), dialogue))

    def row(self) -> dict | None:
        scenario = self.pick()
        slots = self.fill(scenario)
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        turns = self.opening(scenario, slots)
        made = getattr(self, "make_" + kind.replace("-", "_"))(scenario, slots, turns)
        if made is None:
            return None
        turns, question, queries, tags = made
        if (
            len(turns) == 2
            and kind in ("followup", "constraint")
            and self.random.random() < 0.12
            and covered(queries[0], turns[0] + " " + question)
        ):
            turns = turns[:1]
        dialogue = " ".join([*turns, question])
        if not any(covered(query, dialogue) for query in queries) and self.random.random() < UNCOPIED:
            return None
        if "topic-switch" in tags and "standalone" not in tags and covered(queries[0], question):
            tags = [*tags, "standalone"]
        return self.finish(turns, question, queries, tags)

    def make_followup(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        follow = self.random.choice(scenario["followups"])
        if "before" in follow:
            return None
        return turns, *self.asked(follow, slots), list(follow.get("tags", ()))

    def make_chained(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        between = [follow for follow in scenario["followups"] if "reply" in follow]
        follows = [follow for follow in scenario["followups"] if "coreference" in follow.get("tags", ())]
        if not between or len(turns) > 2 or scenario.get("chain") is False:
            return None
        first = self.random.choice(between)
        follows = [follow for follow in follows if follow is not first]
        if not follows:
            return None
        follow = self.random.choice(follows)
        asked = put(self.random.choice(first["ask"]), slots)
        turns = [*turns, "User: " + asked, "Assistant: " + put(first["reply"], slots)]
        return turns, *self.asked(follow, slots), list(follow["tags"])

    def make_moved_on(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        other = self.pick()
        follow = self.random.choice(scenario["followups"])
        if other["topic"] == scenario["topic"] or "before" in follow or len(turns) > 2:
            return None
        earlier = self.opening(other, self.fill(other))[:2]
        if len(earlier) < 2 or not earlier[1].startswith("Assistant"):
            return None
        turns = [*earlier, "User: " + self.random.choice(MOVE_ON) + turns[0].removeprefix("User: "), *turns[1:]]
        return turns, *self.asked(follow, slots), list(follow.get("tags", ()))

    def other_name(self, scenario: dict, slots: dict[str, str]) -> tuple[str, str, str] | None:
        """A slot of the opening question, its name in the conversation and another one."""
        swappable = [slot for slot in slots if "base" in scenario and all("{" + slot + "}" in query for query in scenario["base"][:1])]
        if not swappable:
            return None
        slot = self.random.choice(swappable)
        choice = [name for name in self.names(scenario["slots"][slot]) if name not in slots.values()]
        return (slot, slots[slot], self.random.choice(choice)) if choice else None

    def swapped(self, scenario: dict, slots: dict[str, str], turns: list[str], wordings: tuple[str, ...], tags: list[str]) -> tuple | None:
        found = self.other_name(scenario, slots)
        if found is None:
            return None
        slot, old, new = found
        question = self.random.choice(wordings).format(old=old, new=new)
        queries = [put(query, slots | {slot: new}) for query in self.base(scenario, " ".join(turns), slots) if "{" + slot + "}" in query]
        return turns, question, queries, tags

    def make_swap(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        return self.swapped(scenario, slots, turns, SWAPS, ["ellipsis"])

    def make_correction(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        follows = [follow for follow in scenario["followups"] if "before" in follow or "correction" in follow.get("tags", ())]
        if follows and self.random.random() < 0.6:
            follow = self.random.choice(follows)
            before = [put(turn, slots) for turn in follow.get("before", ())]
            return [*turns, *before], *self.asked(follow, slots), list(follow["tags"])
        return self.swapped(scenario, slots, turns, CORRECTIONS, ["correction"])

    def make_constraint(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        if "constraint" not in scenario:
            return None
        values = scenario["constraint"]
        place = self.random.choice([name for name in self.names(values) if name not in slots.values()])
        wordings = NARROWS[PREPOSITION[values] if isinstance(values, str) else ""]
        bare = re.sub(r"^(the|a) ", "", place)
        queries = [put(query, slots) + " " + bare for query in self.base(scenario, " ".join(turns), slots)]
        return turns, self.random.choice(wordings).format(p=place), queries, ["ellipsis"]

    def whole(self, scenario: dict, slots: dict[str, str]) -> tuple[str, list[str]] | None:
        """A question of the scenario that needs no context, and its rewrites."""
        if scenario.get("alone") and self.random.random() < 0.6:
            return self.asked(self.random.choice(scenario["alone"]), slots)
        question = put(self.random.choice(scenario["openings"])[0].removeprefix("User: "), slots)
        queries = [put(query, slots) for query in scenario.get("base", ())]
        if not any(covered(query, question) for query in queries):
            return None
        return question, sorted(queries, key=lambda query: not covered(query, question))

    def make_switch(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        other = self.pick()
        whole = self.whole(other, self.fill(other))
        if whole is None or other["topic"] == scenario["topic"]:
            return None
        question, queries = whole
        lead = self.random.choice(SWITCHES)
        question = lead + (
            question
            if not lead or lead.endswith((". ", "! ")) or question[:2].isupper() or question.startswith("I ")
            else question[0].lower() + question[1:]
        )
        return turns, question, queries, ["topic-switch", "standalone"]

    def make_alone(self, scenario: dict, slots: dict[str, str], turns: list[str]) -> tuple | None:
        whole = self.whole(scenario, slots)
        if whole is None:
            return None
        question, queries = whole
        beside = scenario.get("alone") and any(question == put(ask, slots) for item in scenario["alone"] for ask in item["ask"])
        return (turns if beside and self.random.random() < 0.5 else []), question, queries, ["standalone"]

    def asked(self, follow: dict, slots: dict[str, str]) -> tuple[str, list[str]]:
        return put(self.random.choice(follow["ask"]), slots), [put(query, slots) for query in follow["query"]]

    def finish(self, turns: list[str], question: str, queries: list[str], tags: list[str]) -> dict:
        """The row: rewrites in order of closeness to the dialogue, then the small disorders of typed text."""
        dialogue = "\n".join([*turns, "> " + question])
        asked = set(words(question)) - STOP
        known = set(words(dialogue))

        def closeness(query: str) -> tuple[int, int]:
            used = set(words(query))
            return len(used - known), len(asked - used)

        mine = "\n".join([*(turn for turn in turns if turn.startswith("User:")), "> " + question])
        queries = list(dict.fromkeys(as_written(query, mine) for query in sorted(queries, key=closeness)))[:4]
        tags = [*tags, *(["long-context"] if len(turns) > 2 else [])]
        if (
            not {"standalone", "correction"} & set(tags)
            and self.random.random() < 0.16
            and not re.match(r"(ok|no|hm|oops|wait|sorry|ah)\b", question.lower())
        ):
            lead = self.random.choice(LEADS)
            question = lead + (question if lead.endswith(". ") or question.startswith("I") else question[0].lower() + question[1:])
        if self.random.random() < 0.3:
            question = question[0].lower() + question[1:] if not re.match(r"[A-Z]{2}", question) else question
        if question.endswith("?") and self.random.random() < 0.25:
            question = question[:-1]
        if self.random.random() < 0.05:
            mistyped = self.mistyped(question)
            if mistyped != question:
                question, tags = mistyped, [*tags, "typo"]
        row = {"conversation": "\n".join(turns), "question": question, "expected_any": queries}
        return row | ({"tags": tags} if tags else {})

    def mistyped(self, text: str) -> str:
        """One or two plain words with a slip of the fingers; names with digits or signs are left alone."""
        tokens = text.split(" ")
        places = [at for at, token in enumerate(tokens) if re.fullmatch(r"[a-z]{4,}[?,.]?", token)]
        for at in self.random.sample(places, min(len(places), self.random.choice((1, 1, 2)))):
            token = tokens[at]
            end = len(token.rstrip("?,.")) - 1
            spot = self.random.randrange(1, end)
            slip = self.random.randrange(3)
            if slip == 0:
                tokens[at] = token[:spot] + token[spot + 1] + token[spot] + token[spot + 2 :]
            elif slip == 1:
                tokens[at] = token[:spot] + token[spot + 1 :]
            else:
                tokens[at] = token[:spot] + token[spot] + token[spot:]
        return " ".join(tokens)


def put(text: str, slots: dict[str, str]) -> str:
    """The text with its slots filled, and "an" where the name asks for it."""
    for slot, value in slots.items():
        if value[0].lower() in "aeio":
            text = re.sub(r"\b([aA]) \{" + slot + r"\}", r"\1n {" + slot + "}", text)
        text = text.replace("{" + slot + "}", value)
    return text


class Held:
    """Finds the held-out rows that a training row comes near to."""

    FIELDS = ("conversation", "question", "expected_any")

    def __init__(self, rows: list[dict]) -> None:
        self.rows = [self.fields(row) for row in rows]
        self.queries = {query.lower() for row in rows for query in row["expected_any"]}
        self.by_shingle = defaultdict(set)
        for at, fields in enumerate(self.rows):
            for shingle in fields[1]:
                self.by_shingle[shingle].add(at)

    def fields(self, row: dict) -> list[set[tuple[str, ...]]]:
        return [shingles(row["conversation"]), shingles(row["question"]), shingles(row["expected_any"][0])]

    def near(self, row: dict) -> bool:
        if any(query.lower() in self.queries for query in row["expected_any"]):
            return True
        fields = self.fields(row)
        close = set().union(*(self.by_shingle[shingle] for shingle in fields[1] if shingle in self.by_shingle))
        return any(all(jaccard(one, other) >= NEAR for one, other in zip(fields, self.rows[at], strict=True)) for at in close)


def draw(
    maker: Maker, count: int, prefix: str, width: int, held: Held | None = None, seen: set[tuple[str, str]] | None = None
) -> list[dict]:
    """That many different rows, or as many as there are; without `held` (they are the held-out rows) no two have the same rewrite."""
    seen = set() if seen is None else seen
    rewrites: set[str] = set()
    rows: list[dict] = []
    for _ in range(count * 40):
        row = maker.row()
        if row is None:
            continue
        key = (row["conversation"].lower(), row["question"].lower())
        if key in seen or (held is not None and held.near(row)):
            continue
        if held is None and row["expected_any"][0].lower() in rewrites:
            continue
        rewrites.add(row["expected_any"][0].lower())
        seen.add(key)
        rows.append({"id": f"{prefix}-{len(rows) + 1:0{width}d}"} | row)
        if len(rows) == count:
            break
    return rows


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows), encoding="ascii")
    print(f"{path}: {len(rows)} rows")


def make(train_rows: int = TRAIN_ROWS) -> tuple[list[dict], list[dict]]:
    """The rows of both files, training first."""
    ours, theirs = scenarios()
    heldout = draw(Maker(theirs, heldout=True, seed=SEED), HELDOUT_ROWS, "heldout", 4)
    return draw(Maker(ours, heldout=False, seed=SEED + 1), train_rows, "train", 5, Held(heldout)), heldout


def prompt(row: dict) -> str:
    return (row["conversation"] + "\n" if row["conversation"] else "") + f"> {row['question']}\nQuery:"


def guesses(row: dict) -> dict[str, list[str]]:
    """What replies without a model would be: the words of the question, and those of the user's turns."""
    said = [turn.removeprefix("User: ") for turn in row["conversation"].splitlines() if turn.startswith("User: ")]
    asked = [word for word in words(row["question"]) if word not in STOP]
    last = [word for word in words(said[-1] if said else "") if word not in STOP]
    return {
        "question": asked,
        "last user turn and question": list(dict.fromkeys(last + asked)),
        "first word of that turn and question": last[:1] + asked,
    }


def right(guess: list[str], row: dict) -> bool:
    """Whether a guess reaches a token F1 of 0.8 against an accepted rewrite."""
    scores = []
    for query in row["expected_any"]:
        expected = words(query)
        scores.append(2 * (Counter(guess) & Counter(expected)).total() / max(1, len(guess) + len(expected)))
    return max(scores) >= 0.8


def figures() -> None:
    """Print what the data card states."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    ours, theirs = scenarios()
    print(f"scenarios: {len(ours)} for training, {len(theirs)} held out")
    pools = {"@" + pool["pool"]: pool["names"] for pool in load(HERE / "query_rewriting_pools.jsonl")}
    lists = [*pools.values(), *(values for one in ours + theirs for values in one.get("slots", {}).values() if not isinstance(values, str))]
    names = {name.lower() for values in lists for name in values}
    print(f"names that fill slots: {len(names)}, kept for held-out rows: {sum(map(reserved, names))}")
    sides = {name: written(DATA / f"{name}.jsonl") for name in ("train", "heldout")}
    known = {word for row in sides["train"] for word in words(prompt(row))}
    for name, rows in sides.items():
        sizes = sorted(len(tokenizer.encode(prompt(row) + " " + row["expected_any"][0]).ids) for row in rows)
        tags = Counter(tag for row in rows for tag in row.get("tags", ()))
        copied = sum(covered(row["expected_any"][0], prompt(row)) for row in rows) / len(rows)
        fresh = sum(not set(words(row["expected_any"][0])) <= known for row in rows) / len(rows)
        lengths = Counter(min(len(row["expected_any"][0].split()), 11) for row in rows)
        print(
            f"{name}: {len(rows)} rows, tokens 50th {sizes[len(sizes) // 2]}, 95th {sizes[int(len(sizes) * 0.95)]}, max {sizes[-1]}, limit {TOKEN_LIMIT}"
        )
        print(f"  tags: {dict(tags.most_common())}")
        print(f"  every word of the rewrite is in the dialogue: {copied:.1%}; some word of it is in no training row: {fresh:.1%}")
        print(
            f"  words of the rewrite: {dict(sorted(lengths.items()))}; accepted rewrites a row: {sum(len(r['expected_any']) for r in rows) / len(rows):.2f}"
        )
        print(
            f"  different rewrites: {len({row['expected_any'][0] for row in rows})}; no conversation: {sum(not row['conversation'] for row in rows)}"
        )
    for name in guesses(sides["heldout"][0]):
        print(
            f"held-out rows right by the {name}: {sum(right(guesses(row)[name], row) for row in sides['heldout']) / len(sides['heldout']):.1%}"
        )
    held = Held(sides["heldout"])
    print(f"training rows near a held-out row or with one of its rewrites: {sum(held.near(row) for row in sides['train'])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="write further training rows to this folder, as teacher.jsonl")
    parser.add_argument("--rows", type=int, default=10000, help="how many of them")
    parser.add_argument("--seed", type=int, default=1, help="seed of those rows")
    parser.add_argument("--figures", action="store_true", help="print the figures of the data card")
    options = parser.parse_args()
    if options.figures:
        figures()
        return
    if options.out is None:
        train, heldout = make()
        write(DATA / "train.jsonl", train)
        write(DATA / "heldout.jsonl", heldout)
        return
    ours, _ = scenarios()
    seen = {(row["conversation"].lower(), row["question"].lower()) for row in load(DATA / "train.jsonl")}
    held = Held(load(DATA / "heldout.jsonl"))
    maker = Maker(ours, heldout=False, seed=SEED + 1000 + options.seed)
    write(options.out / "teacher.jsonl", draw(maker, options.rows, "teacher", 5, held, seen))


if __name__ == "__main__":
    main()
