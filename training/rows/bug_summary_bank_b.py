"""Modules of application code for the bug summaries, second part: `@@` opens a module, `>>` is an ordinary call, `??` an edge call."""

MODULES = r"""
@@ hr/payroll.py
HOURS_PER_WEEK = 40
OVERTIME = 1.5

def gross_pay(worker, hours):
    rate = float(worker["rate"])
    extra = max(hours - HOURS_PER_WEEK, 0)
    return rate * (hours - extra) + rate * OVERTIME * extra

def deductions(worker, gross):
    if worker.get("tax_class") is None:
        return 0.0
    share = {"A": 0.2, "B": 0.3}[worker["tax_class"]]
    return gross * share

def payslip(worker, hours):
    gross = gross_pay(worker, hours)
    net = gross - deductions(worker, gross)
    return {"worker": worker["name"].title(), "net": round(net, 2)}

def run_payroll(workers, timesheet):
    slips = []
    for worker in workers:
        hours = timesheet.get(worker["name"], 0)
        slips.append(payslip(worker, int(hours)))
    return slips
>> gross_pay({"rate": "20"}, 45)
>> run_payroll([{"name": "mia", "rate": "20", "tax_class": "A"}], {"mia": "45"})
?? run_payroll([{"name": "bo", "rate": 15}], {})

@@ chat/rooms.py
class RoomFull(Exception):
    pass

class Room:
    def __init__(self, topic, capacity=2):
        self.topic = topic
        self.capacity = capacity
        self.members = set()
        self.history = []

    def join(self, nick):
        if len(self.members) >= self.capacity:
            raise RoomFull(f"{self.topic} has no seat for {nick}")
        self.members.add(nick)
        return sorted(self.members)

    def post(self, nick, text):
        if nick not in self.members:
            return None
        self.history.append((nick, text.strip()))
        return len(self.history)

    def last_message(self):
        if not self.history:
            return "(silence)"
        nick, text = self.history[-1]
        return nick + ": " + text

def open_room(topic, nicks):
    room = Room(topic, capacity=len(nicks) + 1)
    for nick in nicks:
        room.join(nick)
        room.post(nick, "hi, I am " + nick)
    return room.last_message()
>> open_room("python", ["ada", "bob"])
>> Room("go").join("eve")
?? open_room("empty", [])
?? Room("go").post("eve", "hello?")

@@ search/ranking.py
import math
from collections import Counter

STOPWORDS = {"the", "a", "of"}

def tokenize(text):
    return [word for word in text.lower().split() if word not in STOPWORDS]

def idf(term, docs):
    hits = sum(1 for doc in docs if term in tokenize(doc["body"]))
    if hits == 0:
        return 0.0
    return math.log(len(docs) / hits) + 1

def score(query, doc, docs):
    counts = Counter(tokenize(doc["body"]))
    total = 0.0
    for term in tokenize(query):
        total += counts[term] * idf(term, docs)
    return total + doc.get("boost", 0)

def top_hit(query, docs):
    ranked = sorted(docs, key=lambda doc: score(query, doc, docs), reverse=True)
    if not ranked:
        return None
    return ranked[0]["id"]
>> score("red fox", {"body": "The red fox"}, [{"body": "The red fox"}])
>> top_hit("fox", [{"id": 1, "body": "a hen"}, {"id": 2, "body": "the fox", "boost": 2}])
?? top_hit("fox", [])
?? idf("owl", [{"body": "a hen"}])

@@ video/subtitles.py
import re

TIMING = re.compile(r"(\d+):(\d+):(\d+),(\d+)")

class CueError(ValueError):
    pass

def to_millis(stamp):
    match = TIMING.match(stamp)
    if match is None:
        raise CueError(f"bad timestamp {stamp!r}")
    hours, minutes, seconds, millis = match.groups()
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(millis)

def parse_cue(block):
    number, timing, *lines = block.splitlines()
    start, end = timing.split(" --> ")
    return {"number": int(number), "start": to_millis(start), "end": to_millis(end), "lines": lines}

def shift(blocks, offset):
    cues = [parse_cue(block) for block in blocks]
    for cue in cues:
        cue["start"] = max(cue["start"] + offset, 0)
        cue["end"] = max(cue["end"] + offset, 0)
    return cues

def reading_speed(block):
    cue = parse_cue(block)
    letters = sum(len(line) for line in cue["lines"])
    length = cue["end"] - cue["start"]
    if length == 0:
        return None
    return letters * 1000 / length
>> shift(["1\n00:00:01,000 --> 00:00:02,500\nHello"], 200)
>> reading_speed("1\n00:00:01,000 --> 00:00:02,500\nHello\nthere")
?? reading_speed("4\n00:00:01,000 --> 00:00:01,000\nOops")
?? shift([], 5)

@@ finance/currency.py
RATES = {"EUR": 1.0, "USD": 1.1, "JPY": 160.0}
SYMBOLS = {"EUR": "e", "USD": "$"}

class UnknownCurrency(LookupError):
    pass

def rate_of(code):
    try:
        return RATES[code.upper()]
    except KeyError as exc:
        raise UnknownCurrency(code) from exc

def convert(amount, source, target):
    if source == target:
        return amount
    return amount / rate_of(source) * rate_of(target)

def format_money(amount, code):
    digits = 0 if code == "JPY" else 2
    symbol = SYMBOLS.get(code, code)
    return symbol + " " + str(round(amount, digits))

def balance_in(accounts, target="EUR"):
    total = 0
    for account in accounts:
        total += convert(account["balance"], source=account["code"], target=target)
    return format_money(total, target)
>> balance_in([{"balance": 10, "code": "USD"}, {"balance": 3, "code": "EUR"}])
>> format_money(convert(100, "EUR", "USD"), "USD")
?? balance_in([], target="JPY")

@@ storage/cache.py
import time

MISSING = object()

class Cache:
    def __init__(self, ttl=60, clock=time.monotonic):
        self.ttl = ttl
        self.clock = clock
        self.entries = {}
        self.hits = 0
        self.misses = 0

    def put(self, key, value):
        self.entries[key] = (value, self.clock() + self.ttl)

    def fetch(self, key, default=None):
        value, expires = self.entries.get(key, (MISSING, 0))
        if value is MISSING or expires < self.clock():
            self.misses += 1
            return default
        self.hits += 1
        return value

    def evict_expired(self):
        now = self.clock()
        for key, (_, expires) in list(self.entries.items()):
            if expires < now:
                del self.entries[key]
        return len(self.entries)

    def hit_rate(self):
        asked = self.hits + self.misses
        if asked == 0:
            return 0.0
        return self.hits / asked

def warm(cache, pairs):
    for key, value in pairs:
        cache.put(key, value=value)
    return cache.fetch(pairs[-1][0], default="cold")
>> warm(Cache(), [("a", 1), ("b", 2)])
>> Cache().fetch("a", default=3)
?? Cache().hit_rate()
?? [c.evict_expired() for c in [Cache(ttl=-5)] if c.put("a", 1) is None]

@@ tickets/triage.py
import re
from enum import Enum

class Level(Enum):
    LOW = 1
    HIGH = 3

TICKET_ID = re.compile(r"#(\d+)")
URGENT = ("outage", "data loss")

def level_of(ticket):
    text = ticket["subject"].lower()
    if any(word in text for word in URGENT):
        return Level.HIGH
    return Level.LOW

def linked_ticket(ticket):
    found = TICKET_ID.search(ticket.get("body", ""))
    if not found:
        return None
    return int(found.group(1))

def assign(tickets, agents):
    plan = {agent: [] for agent in agents}
    for index, ticket in enumerate(tickets):
        agent = agents[index % len(agents)]
        plan[agent].append((level_of(ticket).value, ticket["id"]))
    return plan

def busiest(tickets, agents):
    plan = assign(tickets, agents)
    loads = {agent: sum(level for level, _ in work) for agent, work in plan.items()}
    return max(loads, key=loads.get) if loads else None
>> busiest([{"id": 4, "subject": "Outage in EU"}, {"id": 5, "subject": "typo"}], ["kay", "lee"])
>> linked_ticket({"body": "same as #31, I think"})
?? linked_ticket({"subject": "no body"})
?? busiest([], [])

@@ farm/irrigation.py
DRY_BELOW = 0.3
LITRES_PER_PLOT = 12

def moisture(plot):
    probes = plot["probes"]
    if not probes:
        return 1.0
    return sum(probes) / len(probes)

def dry_plots(plots):
    return [plot["name"] for plot in plots if moisture(plot) < DRY_BELOW]

def litres_needed(plots, factor=1.0):
    dry = dry_plots(plots)
    return len(dry) * LITRES_PER_PLOT * factor

def plan(plots, tanks):
    needed = litres_needed(plots, factor=1.1)
    order = []
    for tank in sorted(tanks, key=lambda tank: tank["level"]):
        if needed <= 0:
            break
        used = min(needed, tank["level"])
        order.append(tank["valve"] + ":" + str(round(used)))
        needed -= used
    return order
>> plan([{"name": "north", "probes": [0.1, 0.2]}], [{"level": 40, "valve": "V1"}])
>> dry_plots([{"name": "north", "probes": [0.1, 0.2]}, {"name": "east", "probes": [0.8]}])
?? plan([{"name": "new", "probes": []}], [])
?? moisture({"probes": []})

@@ transit/departures.py
from datetime import datetime, timedelta

CLOCK = "%H:%M"

class Departure:
    def __init__(self, line, planned, delay=None):
        self.line = line
        self.planned = datetime.strptime(planned, CLOCK)
        self.delay = delay

    def expected(self):
        if self.delay is None:
            return self.planned
        return self.planned + timedelta(minutes=self.delay)

    def label(self):
        return f"{self.line} {self.expected().strftime(CLOCK)}"

class Timetable:
    def __init__(self, rows):
        self.departures = [Departure(line, planned, delay) for line, planned, delay in rows]

    def after(self, clock):
        moment = datetime.strptime(clock, CLOCK)
        later = [d for d in self.departures if d.expected() >= moment]
        return sorted(later, key=lambda d: d.expected())

    def next_label(self, clock):
        later = self.after(clock)
        if not later:
            return "no more trains"
        return later[0].label()
>> Timetable([("U2", "10:00", 3), ("S1", "10:05", None)]).next_label("09:30")
>> Departure("U2", "10:00", 4).label()
?? Timetable([]).next_label("09:30")
?? Departure("U2", "10:00").label()

@@ images/thumbs.py
from pathlib import PurePosixPath

SIZES = {"small": 64, "large": 512}
KNOWN = (".png", ".jpg")

def fit(width, height, box):
    longest = max(width, height)
    if longest <= box:
        return width, height
    return width * box // longest, height * box // longest

def thumb_path(path, size):
    file = PurePosixPath(path)
    if file.suffix not in KNOWN:
        return None
    return str(file.with_name(file.stem + "-" + size + file.suffix))

def pixel_row(width):
    return [0] * width

def blank_canvas(image, size="small"):
    width, height = fit(image["width"], image["height"], box=SIZES[size])
    return [pixel_row(width) for _ in range(height)]

def plan_thumbs(images):
    jobs = {}
    for image in images:
        target = thumb_path(image["path"], "small")
        if target is None:
            continue
        jobs[target.lower()] = len(blank_canvas(image))
    return jobs
>> plan_thumbs([{"path": "in/Cat.png", "width": 200, "height": 100}])
>> fit(200, 100, 64)
?? plan_thumbs([{"path": "in/notes.txt", "width": 0, "height": 0}])
?? blank_canvas({"width": 20, "height": 10}, size="large")

@@ surveys/answers.py
from collections import Counter
from statistics import mean

SCALE = ["never", "rarely", "often", "always"]

class SurveyError(Exception):
    pass

def code_answer(text):
    try:
        return SCALE.index(text.strip().lower())
    except ValueError as exc:
        raise SurveyError("not on the scale: " + text) from exc

def question_scores(forms, question):
    scores = []
    for form in forms:
        answer = form["answers"].get(question)
        if answer is None:
            continue
        scores.append(code_answer(answer))
    return scores

def mean_score(forms, question):
    scores = question_scores(forms, question)
    if not scores:
        return None
    return mean(scores)

def commonest(forms, question):
    counts = Counter(form["answers"].get(question, "skipped") for form in forms)
    answer, count = counts.most_common(1)[0]
    return f"{answer} ({count} of {len(forms)})"
>> mean_score([{"answers": {"q1": "often "}}, {"answers": {"q1": "Never"}}], "q1")
>> commonest([{"answers": {"q1": "often"}}], "q1")
?? mean_score([{"answers": {}}], "q1")

@@ deploy/releases.py
import re

VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)$")

class BadVersion(ValueError):
    pass

def parse_version(text):
    match = VERSION.match(text)
    if not match:
        raise BadVersion(text)
    return tuple(int(part) for part in match.groups())

def bump(text, level="patch"):
    major, minor, patch = parse_version(text)
    if level == "major":
        return f"{major + 1}.0.0"
    if level == "minor":
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"

def latest(tags):
    versions = []
    for tag in tags:
        try:
            versions.append(parse_version(tag))
        except BadVersion:
            continue
    if not versions:
        return None
    return max(versions)

def next_tag(tags, level="patch"):
    newest = latest(tags)
    if newest is None:
        return "v0.1.0"
    return "v" + bump(".".join(str(part) for part in newest), level=level)
>> next_tag(["v1.2.3", "v1.10.0"])
>> bump("1.2.3", "minor")
?? next_tag(["nightly"])
?? next_tag([], level="major")

@@ kitchen/recipes.py
from fractions import Fraction

UNITS = {"tsp": 5, "tbsp": 15, "cup": 240}

def parse_quantity(text):
    amount = Fraction(0)
    for part in text.split():
        amount += Fraction(part)
    return amount

def scale(recipe, servings):
    factor = Fraction(servings, recipe["servings"])
    scaled = {}
    for name, (quantity, unit) in recipe["ingredients"].items():
        scaled[name] = (parse_quantity(quantity) * factor, unit)
    return scaled

def millilitres(quantity, unit):
    if unit is None:
        return None
    return float(quantity * UNITS[unit])

def shopping_list(recipe, servings):
    lines = []
    for name, (quantity, unit) in scale(recipe, servings).items():
        volume = millilitres(quantity, unit)
        note = "" if volume is None else " (" + str(round(volume)) + " ml)"
        lines.append(name + note)
    return lines
>> shopping_list({"servings": 2, "ingredients": {"milk": ("1 1/2", "cup")}}, 4)
>> millilitres(Fraction(1, 2), "tsp")
?? shopping_list({"servings": 2, "ingredients": {"egg": ("3", None)}}, 2)

@@ logs/parser.py
import re
from collections import Counter

LINE = re.compile(r"(?P<host>\S+) \[(?P<level>[A-Z]+)\] (?P<message>.*)")

class LogSummary:
    def __init__(self):
        self.levels = Counter()
        self.hosts = {}
        self.skipped = 0

    def feed(self, line):
        match = LINE.match(line)
        if match is None:
            self.skipped += 1
            return
        fields = match.groupdict()
        self.levels[fields["level"]] += 1
        self.hosts.setdefault(fields["host"], []).append(fields["message"])

    def error_share(self):
        seen = sum(self.levels.values())
        if not seen:
            return 0.0
        return self.levels["ERROR"] / seen

    def noisiest(self):
        if not self.hosts:
            return "-"
        return max(self.hosts, key=lambda host: len(self.hosts[host]))

def summarize(text):
    summary = LogSummary()
    for line in text.splitlines():
        summary.feed(line.rstrip())
    share = round(summary.error_share() * 100)
    return summary.noisiest() + " " + str(share) + "%"
>> summarize("web1 [ERROR] boom\nweb2 [INFO] ok\nweb1 [INFO] fine")
?? summarize("")
?? summarize("garbage\nmore garbage")

@@ bank/ledger.py
from decimal import Decimal

class Overdrawn(Exception):
    pass

class Ledger:
    def __init__(self, owner, opening="0"):
        self.owner = owner
        self.entries = [("opening", Decimal(opening))]

    def balance(self):
        return sum(amount for _, amount in self.entries)

    def book(self, label, amount):
        value = Decimal(amount)
        if self.balance() + value < 0:
            raise Overdrawn(f"{self.owner} cannot book {label}")
        self.entries.append((label, value))
        return value

    def statement(self, limit=5):
        lines = []
        for label, amount in self.entries[-limit:]:
            lines.append(label + " " + str(amount))
        return lines

def transfer(source, target, amount):
    moved = source.book("to " + target.owner, "-" + amount)
    target.book("from " + source.owner, amount=str(abs(moved)))
    return source.balance(), target.balance()
>> transfer(Ledger("ann", "50"), Ledger("bob"), "20")
>> Ledger("ann", "5").statement()
?? transfer(Ledger("ann", "50"), Ledger("bob"), "50")

@@ music/playlist.py
import random

class EmptyPlaylist(Exception):
    pass

def seconds(duration):
    minutes, rest = duration.split(":")
    return int(minutes) * 60 + int(rest)

def playtime(tracks):
    whole = sum(seconds(track["duration"]) for track in tracks)
    return f"{whole // 60}:{whole % 60:02d}"

def without_repeats(tracks):
    kept = []
    previous = None
    for track in tracks:
        if previous is None or track["artist"] != previous["artist"]:
            kept.append(track)
        previous = track
    return kept

def shuffle(tracks, seed=0):
    if not tracks:
        raise EmptyPlaylist("nothing to shuffle")
    order = list(tracks)
    random.Random(seed).shuffle(order)
    return without_repeats(order)

def surprise(tracks, seed=0):
    try:
        return shuffle(tracks, seed=seed)[0]["title"]
    except EmptyPlaylist:
        return None
>> playtime([{"duration": "3:20"}, {"duration": "4:55"}])
>> surprise([{"artist": "a", "title": "One"}, {"artist": "b", "title": "Two"}])
?? surprise([])
?? playtime([])
"""
