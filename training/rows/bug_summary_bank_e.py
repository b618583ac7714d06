"""Modules of application code for the bug summaries, fifth part: `@@` opens a module, `>>` is an ordinary call, `??` an edge call."""

MODULES = r"""
@@ brewery/fermenter.py
SUGAR_PER_POINT = 2.6

class Contaminated(Exception):
    pass

def gravity_points(reading):
    return round((float(reading["sg"]) - 1) * 1000)

def alcohol(batch):
    log = batch["log"]
    if len(log) < 2:
        return 0.0
    drop = gravity_points(log[0]) - gravity_points(log[-1])
    return round(drop * 0.131, 1)

def assert_clean(batch):
    for reading in batch["log"]:
        if reading.get("ph", 4.5) < 3:
            raise Contaminated(batch["beer"] + " on day " + str(reading["day"]))

def brew_report(batches):
    report = {}
    for batch in batches:
        try:
            assert_clean(batch)
        except Contaminated as exc:
            report[batch["beer"]] = "discard: " + str(exc)
        else:
            report[batch["beer"]] = f"{alcohol(batch)} %"
    return report
>> brew_report([{"beer": "pils", "log": [{"sg": "1.048", "day": 1}, {"sg": "1.010", "day": 9}]}])
?? brew_report([{"beer": "ale", "log": [{"sg": "1.048", "day": 4, "ph": 2.5}]}])
?? alcohol({"log": []})

@@ spellcheck/suggest.py
from collections import Counter

ALPHABET = "abcdefghijklmnopqrstuvwxyz"

class Speller:
    def __init__(self, corpus):
        self.freq = Counter(corpus.lower().split())
        self.ignored = set()

    def edits(self, word):
        halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
        deletes = {a + b[1:] for a, b in halves if b}
        swaps = {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
        inserts = {a + c + b for a, b in halves for c in ALPHABET}
        return deletes | swaps | inserts

    def candidates(self, word):
        if word in self.freq:
            return [word]
        return sorted(self.edits(word) & set(self.freq), key=self.freq.get)

    def correct(self, word):
        if word in self.ignored:
            return word
        found = self.candidates(word.lower())
        if not found:
            return None
        return found[-1]

def fix_line(speller, line):
    fixed = []
    for word in line.split():
        better = speller.correct(word)
        fixed.append(word if better is None else better)
    return " ".join(fixed)
>> fix_line(Speller("the cat sat on the mat"), "teh cat sta")
>> Speller("one two").candidates("oen")
?? fix_line(Speller("the cat"), "zzzzzz")
?? Speller("the cat").correct("qqqq")

@@ vending/machine.py
COINS = [200, 100, 50, 20, 10]

class NotEnough(Exception):
    pass

class Machine:
    def __init__(self, prices):
        self.prices = prices
        self.credit = 0
        self.sold = []

    def insert_coin(self, coin):
        if int(coin) not in COINS:
            return self.credit
        self.credit += int(coin)
        return self.credit

    def missing_for(self, code):
        return max(self.prices[code] - self.credit, 0)

    def vend(self, code):
        missing = self.missing_for(code)
        if missing > 0:
            raise NotEnough(f"{missing} cents short for {code}")
        self.credit -= self.prices[code]
        self.sold.append(code)
        return self.change()

    def change(self):
        back = []
        for coin in COINS:
            while self.credit >= coin:
                back.append(coin)
                self.credit -= coin
        return back

def purchase(prices, coins, code):
    machine = Machine(prices)
    for coin in coins:
        machine.insert_coin(coin)
    try:
        return machine.vend(code)
    except NotEnough as exc:
        return machine.change() + [str(exc).split(" ")[0]]
>> purchase({"A1": 120}, ["200", "50"], "A1")
>> Machine({"A1": 120}).missing_for("A1")
?? purchase({"A1": 120}, ["50"], "A1")
?? Machine({"A1": 120}).insert_coin("3")

@@ astro/observations.py
import math

class BelowHorizon(Exception):
    pass

def hours_to_degrees(ra):
    hours, minutes, seconds = ra.split("h")[0], *ra.split("h")[1].rstrip("s").split("m")
    return (int(hours) + int(minutes) / 60 + float(seconds) / 3600) * 15

def airmass(altitude):
    if altitude <= 0:
        raise BelowHorizon(f"{altitude} degrees")
    return 1 / math.sin(math.radians(altitude))

def observable(targets, most=2.0):
    names = []
    for target in targets:
        try:
            mass = airmass(target["alt"])
        except BelowHorizon:
            continue
        if mass < most:
            names.append((target["name"], round(mass, 2)))
    return names

def best_target(targets):
    ranked = sorted(observable(targets, most=3.0), key=lambda pair: pair[1])
    if not ranked:
        return None
    name, mass = ranked[0]
    return name + " at airmass " + str(mass)
>> best_target([{"name": "M31", "alt": 60}, {"name": "M42", "alt": 35}])
>> hours_to_degrees("05h35m17.3s")
?? best_target([{"name": "M7", "alt": -4}])

@@ recycling/pickup.py
from datetime import date, timedelta

WEEKDAYS = {"paper": 0, "glass": 2, "bio": 4}
HOLIDAYS = {"2024-05-01": "Labour Day"}

def next_weekday(day, weekday):
    ahead = (weekday - day.weekday()) % 7
    return day + timedelta(days=ahead)

def pickup_day(kind, day):
    planned = next_weekday(day, WEEKDAYS[kind])
    holiday = HOLIDAYS.get(planned.isoformat())
    if holiday is None:
        return planned, ""
    return planned + timedelta(days=1), " (" + holiday + ")"

def calendar(household, start):
    begin = date.fromisoformat(start)
    entries = []
    for kind in household["bins"]:
        moment, note = pickup_day(kind, begin)
        entries.append((moment, kind + note))
    return sorted(entries)

def next_pickup(household, start):
    entries = calendar(household, start)
    if not entries:
        return "no bins at " + household["street"]
    moment, what = entries[0]
    return f"{what} on {moment:%d %b}"
>> next_pickup({"street": "Elm", "bins": ["paper", "bio"]}, "2024-06-04")
>> pickup_day("glass", date(2024, 6, 4))
?? next_pickup({"street": "Elm", "bins": ["glass"]}, "2024-04-30")
?? next_pickup({"street": "Elm", "bins": []}, "2024-04-30")

@@ plugins/registry.py
from importlib import import_module

class PluginMissing(LookupError):
    pass

class Registry:
    def __init__(self):
        self.plugins = {}
        self.order = []

    def register(self, name, func, rank=0):
        if name in self.plugins:
            return False
        self.plugins[name] = func
        self.order.append((rank, name))
        self.order.sort()
        return True

    def load_from(self, dotted):
        module, _, attr = dotted.rpartition(".")
        try:
            func = getattr(import_module(module), attr)
        except (ImportError, AttributeError) as exc:
            raise PluginMissing(dotted) from exc
        return self.register(attr, func, rank=5)

    def apply_all(self, text):
        for rank, name in self.order:
            text = self.plugins[name](text)
        return text

def build_chain(names):
    registry, missing = Registry(), []
    registry.register("trim", str.strip)
    for name in names:
        try:
            registry.load_from(name)
        except PluginMissing as exc:
            missing.append(exc.args[0])
    return registry.apply_all(" a b "), missing
>> build_chain(["html.escape"])
>> Registry().register("upper", str.upper, 2)
?? build_chain(["html.nothing", "no_such_module.x"])
?? build_chain([])

@@ elections/seats.py
from fractions import Fraction

class NoVotes(ValueError):
    pass

def above_threshold(votes, percent=5):
    total = sum(votes.values())
    if total == 0:
        raise NoVotes("nobody voted")
    return {party: count for party, count in votes.items() if Fraction(count, total) * 100 >= percent}

def allocate(votes, seats):
    won = dict.fromkeys(votes, 0)
    for _ in range(seats):
        quotients = {party: Fraction(votes[party], won[party] + 1) for party in votes}
        leader = max(quotients, key=quotients.get)
        won[leader] += 1
    return won

def parliament(result, seats=10):
    try:
        entitled = above_threshold(result["votes"], percent=result.get("threshold", 5))
    except NoVotes as exc:
        return {"region": result["region"], "note": str(exc)}
    return {"region": result["region"], "seats": allocate(entitled, seats=seats)}

def majority(result):
    won = parliament(result).get("seats")
    if won is None:
        return None
    party, count = max(won.items(), key=lambda pair: pair[1])
    return party if count * 2 > sum(won.values()) else "coalition"
>> parliament({"region": "north", "votes": {"red": 50, "blue": 40, "grey": 2}})
>> majority({"region": "north", "votes": {"red": 80, "blue": 20}, "threshold": 3})
?? majority({"region": "south", "votes": {}})
?? parliament({"region": "south", "votes": {"red": 0}})

@@ undo/editor.py
class NothingToUndo(Exception):
    pass

class Editor:
    def __init__(self, text=""):
        self.text = text
        self.past = []
        self.future = []

    def type_text(self, addition):
        self.past.append(self.text)
        self.future.clear()
        self.text = self.text + addition
        return len(self.text)

    def undo(self):
        try:
            previous = self.past.pop()
        except IndexError as exc:
            raise NothingToUndo("history is empty") from exc
        self.future.append(self.text)
        self.text = previous
        return previous

    def redo(self):
        if not self.future:
            return None
        self.past.append(self.text)
        self.text = self.future.pop()
        return self.text

def run_script(commands):
    editor = Editor()
    warnings = []
    for number, command in enumerate(commands, 1):
        verb, _, argument = command.partition(" ")
        try:
            if verb == "undo":
                editor.undo()
            else:
                editor.type_text(argument)
        except NothingToUndo as exc:
            warnings.append("line " + str(number) + ": " + str(exc))
    return editor.text, warnings
>> run_script(["type hello", "type  you", "undo"])
>> Editor("a").type_text("b")
?? run_script(["undo"])
?? Editor().redo()

@@ insurance/claims.py
from datetime import date
from decimal import Decimal

DEDUCTIBLE = {"basic": Decimal("300"), "plus": Decimal("150")}

class ClaimRejected(Exception):
    pass

def covered_days(policy):
    start = date.fromisoformat(policy["start"])
    end = date.fromisoformat(policy["end"])
    return (end - start).days

def verify_claim(policy, claim):
    if not policy["start"] <= claim["happened"] <= policy["end"]:
        raise ClaimRejected("not covered on " + claim["happened"])
    return Decimal(claim["damage"])

def payout(policy, claim):
    damage = verify_claim(policy, claim)
    deductible = DEDUCTIBLE[policy["tariff"].lower()]
    witness = claim.get("witness")
    if witness is None:
        return max(damage - 2 * deductible, Decimal("0"))
    return max(damage - deductible, Decimal("0"))

def settle(policy, claims):
    paid, letters = Decimal("0"), []
    for claim in claims:
        try:
            paid += payout(policy, claim=claim)
        except ClaimRejected as exc:
            letters.append("Dear " + policy["holder"] + ", " + str(exc))
    return paid, letters
>> settle({"holder": "Kim", "tariff": "Basic", "start": "2024-01-01", "end": "2024-12-31"}, [{"happened": "2024-03-03", "damage": "900", "witness": "Lu"}])
>> covered_days({"start": "2024-01-01", "end": "2024-12-31"})
?? settle({"holder": "Kim", "tariff": "Plus", "start": "2024-01-01", "end": "2024-12-31"}, [{"happened": "2023-03-03", "damage": "900"}])
?? payout({"tariff": "plus", "start": "2024-01-01", "end": "2024-12-31"}, {"happened": "2024-03-03", "damage": "90"})

@@ parking/garage.py
import math

class GarageFull(Exception):
    pass

class Deck:
    def __init__(self, floor, spaces):
        self.floor = floor
        self.free = list(range(1, spaces + 1))
        self.parked = {}

    def park(self, car):
        if not self.free:
            raise GarageFull("floor " + str(self.floor))
        space = self.free.pop(0)
        self.parked[car["plate"]] = space
        return space

    def leave(self, plate):
        space = self.parked.pop(plate, None)
        if space is None:
            return False
        self.free.append(space)
        return True

def parking_fee(minutes, hourly=2.5, permit=None):
    if permit is not None:
        hourly = hourly * permit["factor"]
    return math.ceil(minutes / 60) * hourly

def find_space(decks, car):
    for deck in decks:
        try:
            return deck.floor, deck.park(car)
        except GarageFull:
            continue
    return None

def gate_sign(decks):
    free = sum(len(deck.free) for deck in decks)
    if free == 0:
        return "FULL"
    return "FREE: " + str(free)
>> find_space([Deck(0, 1)], {"plate": "AB1"})
>> gate_sign([Deck(0, 3), Deck(1, 2)])
>> parking_fee(130, permit={"factor": 0.5})
?? find_space([Deck(0, 0), Deck(1, 1)], {"plate": "AB1"})
?? Deck(0, 1).leave("XX")
?? gate_sign([])

@@ translation/catalog.py
import re

PLACEHOLDER = re.compile(r"\{(\w+)\}")
FALLBACK = "en"

class MissingTranslation(KeyError):
    pass

class Catalog:
    def __init__(self, messages):
        self.messages = messages
        self.untranslated = []

    def pattern_for(self, key, language):
        try:
            return self.messages[language][key]
        except KeyError as exc:
            self.untranslated.append((language, key))
            raise MissingTranslation(key) from exc

    def translate(self, key, language, **values):
        try:
            pattern = self.pattern_for(key, language)
        except MissingTranslation:
            pattern = self.messages[FALLBACK].get(key, "??" + key)
        return PLACEHOLDER.sub(lambda match: str(values[match.group(1)]), pattern)

    def coverage(self, language):
        known = self.messages.get(language, {})
        wanted = self.messages[FALLBACK]
        if not wanted:
            return 100
        return round(100 * len(known) / len(wanted))

def greet(catalog, user):
    language = user.get("language") or FALLBACK
    return catalog.translate("hello", language, name=user["name"].title())
>> greet(Catalog({"en": {"hello": "Hello {name}"}, "de": {"hello": "Hallo {name}"}}), {"name": "kim", "language": "de"})
>> Catalog({"en": {"a": "A", "b": "B"}, "de": {"a": "A"}}).coverage("de")
?? greet(Catalog({"en": {"hello": "Hello {name}"}}), {"name": "kim", "language": "fr"})
?? greet(Catalog({"en": {}}), {"name": "kim"})
?? Catalog({"en": {}}).coverage("fr")

@@ observatory/alerts.py
import json
from collections import deque

class MalformedAlert(ValueError):
    pass

def parse_alert(line):
    try:
        alert = json.loads(line)
        return {"host": alert["host"], "load": float(alert["load"])}
    except (ValueError, KeyError) as exc:
        raise MalformedAlert(line[:20]) from exc

class AlertWindow:
    def __init__(self, size=3, ceiling=0.9):
        self.recent = deque(maxlen=size)
        self.ceiling = ceiling

    def observe(self, alert):
        self.recent.append(alert["load"])
        return self.is_burning()

    def is_burning(self):
        if len(self.recent) < self.recent.maxlen:
            return False
        return min(self.recent) > self.ceiling

def watch(lines, size=3):
    windows, malformed = {}, 0
    burning = set()
    for line in lines:
        try:
            alert = parse_alert(line)
        except MalformedAlert:
            malformed += 1
            continue
        window = windows.setdefault(alert["host"], AlertWindow(size=size))
        if window.observe(alert):
            burning.add(alert["host"])
    return ", ".join(sorted(burning)) + " / " + str(malformed)
>> watch(['{"host": "db1", "load": "0.95"}', '{"host": "db1", "load": "0.99"}'], size=2)
>> parse_alert('{"host": "db1", "load": 0.2}')
?? watch(["oops"])
?? watch(['{"host": "db1"}', '{"load": 1}'])
?? watch([])

@@ compost/worms.py
TARGET_RATIO = 30

class WrongMix(Exception):
    def __init__(self, ratio):
        super().__init__(f"ratio {ratio} is off")
        self.ratio = ratio

MATERIALS = {"leaves": (60, 1), "grass": (20, 1), "coffee": (20, 1)}

def carbon_ratio(layers):
    carbon = nitrogen = 0
    for name, kilos in layers:
        c, n = MATERIALS[name]
        carbon += c * kilos
        nitrogen += n * kilos
    if nitrogen == 0:
        return 0
    return carbon / nitrogen

def check_heap(heap, tolerance=10):
    ratio = carbon_ratio(heap["layers"])
    if abs(ratio - TARGET_RATIO) > tolerance:
        raise WrongMix(round(ratio))
    return ratio

def advice(heap):
    try:
        check_heap(heap, tolerance=12)
    except WrongMix as exc:
        what = "grass" if exc.ratio > TARGET_RATIO else "leaves"
        return heap["name"].title() + ": add " + what
    return heap["name"].title() + ": fine"

def advise_all(heaps):
    return {heap["name"]: advice(heap) for heap in heaps if heap.get("layers") is not None}
>> advise_all([{"name": "back yard", "layers": [("leaves", 1), ("grass", 2)]}])
>> carbon_ratio([("coffee", 2)])
?? advise_all([{"name": "balcony", "layers": [("leaves", 4)]}])
?? carbon_ratio([])
?? advise_all([{"name": "empty"}])

@@ ferry/manifest.py
from dataclasses import dataclass

MAX_LOAD = 5000

class TooHeavy(Exception):
    pass

@dataclass
class Cargo:
    owner: str
    kilos: int
    lane: str = "A"

    def tonnes(self):
        return self.kilos / 1000

def read_cargo(line):
    owner, kilos, *rest = line.split(",")
    lane = rest[0].strip() if rest else "A"
    return Cargo(owner.strip(), int(kilos), lane)

def load_ferry(lines):
    aboard, weight = [], 0
    for line in lines:
        cargo = read_cargo(line)
        if weight + cargo.kilos > MAX_LOAD:
            raise TooHeavy(cargo.owner)
        weight += cargo.kilos
        aboard.append(cargo)
    return aboard

def lane_weights(aboard):
    lanes = {}
    for cargo in aboard:
        lanes[cargo.lane] = lanes.get(cargo.lane, 0) + cargo.tonnes()
    return lanes

def departure_note(lines):
    try:
        lanes = lane_weights(load_ferry(lines))
    except TooHeavy as exc:
        return "left behind: " + exc.args[0]
    heaviest = max(lanes, key=lanes.get, default=None)
    if heaviest is None:
        return "empty"
    return f"lane {heaviest} carries {lanes[heaviest]:.1f} t"
>> departure_note(["kim, 900, B", "lu, 1200"])
>> read_cargo("kim, 900, B").tonnes()
?? departure_note(["kim, 9000"])
?? departure_note([])

@@ theatre/seating.py
import re

SEAT = re.compile(r"([A-Z])(\d+)$")

class SeatTaken(Exception):
    pass

def parse_seat(code):
    found = SEAT.match(code.strip().upper())
    if found is None:
        return None
    row, number = found.groups()
    return row, int(number)

class Hall:
    def __init__(self, rows, width):
        self.width = width
        self.taken = {row: set() for row in rows}

    def book_seat(self, code):
        row, number = parse_seat(code)
        if number in self.taken[row]:
            raise SeatTaken(code)
        self.taken[row].add(number)
        return self.width - len(self.taken[row])

    def free_in(self, row):
        return [number for number in range(1, self.width + 1) if number not in self.taken[row]]

    def first_pair(self):
        for row in self.taken:
            free = self.free_in(row)
            for left, right in zip(free, free[1:]):
                if right - left == 1:
                    return row + str(left), row + str(right)
        return None

def book_all(hall, codes):
    refused = []
    for code in codes:
        if parse_seat(code) is None:
            continue
        try:
            hall.book_seat(code)
        except SeatTaken as exc:
            refused.append(str(exc).lower())
    return refused
>> book_all(Hall("AB", 4), ["a1", "B3"])
>> Hall("AB", 4).first_pair()
?? book_all(Hall("AB", 4), ["A1", "A1"])
?? book_all(Hall("AB", 4), ["stage"])
?? Hall("A", 1).first_pair()
"""
