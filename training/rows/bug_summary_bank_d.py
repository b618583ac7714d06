"""Modules of application code for the bug summaries, fourth part: `@@` opens a module, `>>` is an ordinary call, `??` an edge call."""

MODULES = r"""
@@ imports/contacts.py
import json

class ImportFailed(Exception):
    pass

def decode_dump(blob, encoding="utf-8"):
    try:
        return blob.decode(encoding)
    except UnicodeDecodeError:
        return blob.decode("latin-1")

def person_from(entry):
    try:
        name = entry["first"] + " " + entry["last"]
    except (KeyError, TypeError):
        name = str(entry.get("nickname", "unknown"))
    return {"name": name.strip(), "mails": entry.get("mails", [])}

def import_dump(blob):
    try:
        entries = json.loads(decode_dump(blob))
    except ValueError as exc:
        raise ImportFailed("dump of " + str(len(blob)) + " bytes is broken") from exc
    people = [person_from(entry) for entry in entries]
    return sorted(people, key=lambda person: person["name"])
>> import_dump(b'[{"first": "Ann", "last": "Lee", "mails": ["a@b.c"]}]')
>> person_from({"first": "Bo", "last": "Ek"})
?? import_dump(b'[{"nickname": "zed"}]')
?? person_from({"first": "Bo", "last": None})
?? decode_dump(b"caf\xe9")

@@ hotel/bookings.py
from datetime import date

RATE_CARD = {"single": 80, "double": 120}

class NoRoom(Exception):
    pass

def nights(arrival, departure):
    stay = date.fromisoformat(departure) - date.fromisoformat(arrival)
    return stay.days

def nightly_rate(kind):
    try:
        return RATE_CARD[kind]
    except KeyError as exc:
        raise NoRoom("no rooms of kind " + kind) from exc

def stay_price(booking, breakfast=12):
    price = nights(booking["arrival"], booking["departure"]) * nightly_rate(booking["kind"])
    if booking.get("breakfast"):
        price += breakfast * booking["guests"]
    return price

def price_per_guest(booking):
    guests = booking.get("guests", 0)
    if guests == 0:
        return None
    return stay_price(booking) / guests

def offer_text(booking):
    try:
        return "Your stay costs " + str(stay_price(booking, breakfast=15))
    except NoRoom as exc:
        return f"Sorry: {exc}"
>> stay_price({"arrival": "2024-05-01", "departure": "2024-05-04", "kind": "single"})
>> offer_text({"arrival": "2024-05-01", "departure": "2024-05-04", "kind": "double", "breakfast": True, "guests": 2})
?? offer_text({"arrival": "2024-05-01", "departure": "2024-05-04", "kind": "suite"})
?? price_per_guest({"arrival": "2024-05-01", "departure": "2024-05-04", "kind": "single"})

@@ sync/journal.py
class Conflict(Exception):
    pass

class Journal:
    def __init__(self, device):
        self.device = device
        self.changes = {}
        self.version = 0

    def record(self, path, digest):
        self.version += 1
        self.changes[path] = (self.version, digest)
        return self.version

    def drop_older(self, version):
        for path in list(self.changes):
            if self.changes[path][0] < version:
                del self.changes[path]
        return sorted(self.changes)

    def digest_of(self, path):
        try:
            return self.changes[path][1]
        except KeyError:
            return "missing on " + self.device

    def compare(self, other, path):
        mine, theirs = self.digest_of(path), other.digest_of(path)
        if mine != theirs:
            raise Conflict(path + ": " + mine + " is not " + theirs)
        return mine

def reconcile(left, right, paths):
    agreed, conflicts = [], []
    for path in paths:
        try:
            agreed.append(left.compare(right, path))
        except Conflict as exc:
            conflicts.append(str(exc).split(":")[0])
    return agreed, conflicts
>> Journal("phone").record("a.txt", "9f")
>> [j.drop_older(2) for j in [Journal("phone")] if j.record("a", "1") and j.record("b", "2")]
>> reconcile(Journal("phone"), Journal("phone"), ["x"])
?? Journal("phone").digest_of("a.txt")
?? reconcile(Journal("phone"), Journal("laptop"), ["x"])

@@ sms/gateway.py
import re
from collections import deque

DIGITS = re.compile(r"\D+")
PART_SIZE = 10

class BadNumber(ValueError):
    pass

class Gateway:
    def __init__(self, country="49"):
        self.country = country
        self.pending = deque()
        self.rejected = []

    def normalise(self, number):
        digits = DIGITS.sub("", number)
        if len(digits) < 6:
            raise BadNumber(f"{number} is too short")
        if digits.startswith("0"):
            return self.country + digits[1:]
        return digits

    def parts(self, text):
        return [text[i:i + PART_SIZE] for i in range(0, len(text), PART_SIZE)]

    def enqueue(self, number, text):
        try:
            target = self.normalise(number)
        except BadNumber as exc:
            self.rejected.append((number, str(exc)))
            return 0
        for part in self.parts(text):
            self.pending.append({"to": target, "part": part})
        return len(self.pending)

def broadcast(numbers, text, country="49"):
    gateway = Gateway(country=country)
    for number in numbers:
        gateway.enqueue(number, text.strip())
    return len(gateway.pending), gateway.rejected
>> broadcast(["0170 555 123", "+44 20 7946"], "Meeting moved to noon")
>> Gateway().enqueue("0170555123", "hello world again")
?? broadcast(["12"], "hi")
?? broadcast([], "hi", country="1")

@@ genealogy/tree.py
class Person:
    def __init__(self, name, born=None, mother=None):
        self.name = name
        self.born = born
        self.mother = mother
        self.children = []
        if mother is not None:
            mother.children.append(self)

    def age_at(self, year):
        if self.born is None:
            return None
        return year - int(self.born)

    def maternal_line(self):
        line, current = [], self
        while current is not None:
            line.append(current.name)
            current = current.mother
        return line

    def youngest_child(self):
        dated = [child for child in self.children if child.born is not None]
        if not dated:
            return None
        return max(dated, key=lambda child: int(child.born)).name

def family_from(records):
    people = {}
    for record in records:
        mother = people.get(record.get("mother"))
        people[record["name"]] = Person(record["name"], record.get("born"), mother)
    return people

def gap_between(people, older, younger):
    try:
        return people[younger].age_at(int(people[older].born))
    except (KeyError, TypeError):
        return "unknown"
>> family_from([{"name": "Eva", "born": "1940"}, {"name": "Ida", "born": "1965", "mother": "Eva"}])["Eva"].youngest_child()
>> gap_between(family_from([{"name": "Eva", "born": "1940"}, {"name": "Ida", "born": "1965"}]), "Eva", "Ida")
>> Person("Eva", "1940").maternal_line()
?? gap_between({}, "Eva", "Ida")
?? gap_between({"Eva": Person("Eva"), "Ida": Person("Ida")}, "Eva", "Ida")
?? Person("Eva").age_at(1999)
?? Person("Eva").youngest_child()

@@ audio/mixer.py
PEAK = 32767

def clamp(sample, peak=PEAK):
    return max(-peak, min(peak, int(sample)))

def mix(left, right, gain=1.0):
    length = min(len(left), len(right))
    return [clamp((left[i] + right[i]) * gain) for i in range(length)]

def loudness(track):
    if not track["samples"]:
        return 0.0
    return sum(abs(sample) for sample in track["samples"]) / len(track["samples"])

def normalise_gain(tracks, target=1000):
    levels = [loudness(track) for track in tracks]
    loudest = max(levels, default=0)
    if loudest == 0:
        return 1.0
    return target / loudest

def mixdown(tracks):
    gain = normalise_gain(tracks, target=2000)
    mixed = tracks[0]["samples"]
    for track in tracks[1:]:
        mixed = mix(mixed, track["samples"], gain=gain)
    title = "+".join(track.get("title", "?") for track in tracks)
    return {"title": title, "samples": mixed}
>> mixdown([{"title": "drums", "samples": [100, -200]}, {"title": "bass", "samples": [50, 60]}])
>> mix([1, 2], [3, 4], gain=0.5)
?? mixdown([{"samples": []}])
?? normalise_gain([])

@@ assets/depreciation.py
from decimal import Decimal, InvalidOperation

CLASSES = {"laptop": 3, "desk": 10}

class BadAsset(Exception):
    pass

def purchase_price(asset):
    try:
        return Decimal(asset["price"])
    except InvalidOperation:
        return Decimal("0")

def lifetime(asset):
    years = asset.get("years")
    if years is None:
        years = CLASSES.get(asset["kind"], 5)
    return int(years)

def yearly_rate(asset):
    return purchase_price(asset) / lifetime(asset)

def book_value(asset, year):
    age = max(year - int(asset["bought"]), 0)
    value = purchase_price(asset) - yearly_rate(asset) * age
    return max(value, Decimal("0"))

def inventory_value(assets, year):
    total = Decimal("0")
    for number, asset in enumerate(assets, 1):
        try:
            total += book_value(asset, year)
        except (KeyError, ValueError) as exc:
            raise BadAsset("asset " + str(number)) from exc
    return total
>> inventory_value([{"kind": "laptop", "price": "900", "bought": "2022"}], 2024)
>> yearly_rate({"kind": "desk", "price": "500", "years": "8"})
?? inventory_value([{"kind": "plant", "price": "n/a", "bought": "2022"}], 2024)

@@ moderation/filters.py
import re
from collections import defaultdict

LIMITS = {"links": 2, "caps": 0.7}

class Blocked(Exception):
    pass

def count_links(text):
    return len(re.findall(r"https?://", text))

def caps_share(text):
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return 0.0
    return sum(char.isupper() for char in letters) / len(letters)

def inspect(comment):
    text = comment["text"]
    if count_links(text) > LIMITS["links"]:
        raise Blocked("links")
    if caps_share(text) > LIMITS["caps"]:
        raise Blocked("caps")
    return text.strip()

def moderate(comments):
    verdicts = defaultdict(list)
    for comment in comments:
        try:
            inspect(comment)
        except Blocked as exc:
            verdicts[exc.args[0]].append(comment["author"])
        else:
            verdicts["passed"].append(comment["author"])
    return dict(verdicts)

def worst_author(comments):
    blocked = [name for verdict, names in moderate(comments).items() if verdict != "passed" for name in names]
    if not blocked:
        return None
    return max(set(blocked), key=blocked.count)
>> moderate([{"author": "kim", "text": "nice post"}])
>> caps_share("Hello")
?? moderate([{"author": "lu", "text": "BUY NOW"}])
?? worst_author([{"author": "kim", "text": "fine"}])
?? caps_share("123")

@@ telemetry/frames.py
import struct

HEADER = ">BH"
KINDS = {1: "temperature", 2: "pressure"}

class FrameError(Exception):
    pass

def unpack_header(data):
    size = struct.calcsize(HEADER)
    try:
        kind, length = struct.unpack(HEADER, data[:size])
    except struct.error as exc:
        raise FrameError(f"header of {len(data)} bytes") from exc
    return kind, data[size:size + length]

def decode_frame(data):
    kind, body = unpack_header(data)
    name = KINDS.get(kind)
    if name is None:
        return None
    return name, int.from_bytes(body, "big")

def decode_stream(frames):
    latest = {}
    dropped = 0
    for frame in frames:
        try:
            decoded = decode_frame(frame)
        except FrameError:
            dropped += 1
            continue
        if decoded is not None:
            name, level = decoded
            latest[name] = level
    return latest, dropped

def alarm(frames, ceiling):
    latest, dropped = decode_stream(frames)
    hot = [name for name, level in latest.items() if level > ceiling]
    return ", ".join(hot) + " (" + str(dropped) + " dropped)"
>> alarm([struct.pack(">BH", 1, 1) + b"\x50"], 60)
>> decode_frame(struct.pack(">BH", 2, 2) + b"\x01\x02")
?? alarm([b"\x01"], 60)
?? alarm([struct.pack(">BH", 9, 1) + b"\x50"], 60)

@@ museum/tours.py
from collections import namedtuple

Stop = namedtuple("Stop", "hall minutes artwork")

class TourTooLong(Exception):
    pass

def parse_stop(line):
    hall, minutes, artwork = line.split("|")
    return Stop(hall.strip(), int(minutes), artwork.strip())

def tour_length(stops):
    walking = 2 * (len(stops) - 1) if stops else 0
    return walking + sum(stop.minutes for stop in stops)

def plan_tour(lines, most=60):
    stops = [parse_stop(line) for line in lines]
    needed = tour_length(stops)
    if needed > most:
        raise TourTooLong(f"{needed} minutes")
    return stops

def shorten(lines, most=60):
    lines = list(lines)
    while lines:
        try:
            return plan_tour(lines, most=most)
        except TourTooLong:
            lines.pop()
    return []

def leaflet(lines, language="en"):
    stops = shorten(lines)
    if not stops:
        return {"language": language, "first": None}
    halls = ", ".join(stop.hall for stop in stops)
    return {"language": language.upper(), "first": stops[0].artwork, "halls": halls}
>> leaflet(["East | 20 | Sunrise", "West | 15 | Harbour"])
>> tour_length([Stop("East", 5, "Vase")])
?? shorten(["East | 50 | Sunrise", "West | 45 | Harbour"])
?? leaflet([])

@@ permissions/acl.py
class Denied(PermissionError):
    pass

ORDER = ["view", "edit", "admin"]

class AccessList:
    def __init__(self, owner):
        self.owner = owner
        self.grants = {owner: "admin"}

    def grant(self, who, right):
        if right not in ORDER:
            raise ValueError("no such right: " + right)
        self.grants[who] = right

    def allows(self, who, right):
        held = self.grants.get(who)
        if held is None:
            return False
        return ORDER.index(held) >= ORDER.index(right)

    def check(self, who, right):
        if not self.allows(who, right):
            raise Denied(f"{who} may not {right}")
        return True

    def revoke_all(self, right):
        for who, held in list(self.grants.items()):
            if held == right and who != self.owner:
                del self.grants[who]
        return sorted(self.grants)

class SharedFile:
    def __init__(self, name, owner):
        self.name = name
        self.acl = AccessList(owner)

    def rename(self, who, name):
        try:
            self.acl.check(who, "edit")
        except Denied as exc:
            return "refused: " + str(exc)
        self.name = name.strip()
        return self.name
>> SharedFile("a.txt", "kim").rename("kim", " b.txt")
>> AccessList("kim").allows("kim", "view")
>> [acl.revoke_all("view") for acl in [AccessList("kim")] if acl.grant("lu", "view") is None]
?? SharedFile("a.txt", "kim").rename("lu", "b.txt")
?? AccessList("kim").allows("nobody", "view")

@@ maps/tiles.py
import math
from functools import lru_cache

TILE = 256

class OffMap(ValueError):
    pass

@lru_cache(maxsize=64)
def tiles_across(zoom):
    return 2 ** zoom

def tile_of(lat, lon, zoom):
    if not -85 < lat < 85:
        raise OffMap("latitude " + str(lat))
    x = (lon + 180) / 360 * tiles_across(zoom)
    radians = math.radians(lat)
    y = (1 - math.asinh(math.tan(radians)) / math.pi) / 2 * tiles_across(zoom)
    return int(x), int(y)

def tile_url(point, zoom=10):
    x, y = tile_of(point["lat"], point["lon"], zoom)
    return f"/tiles/{zoom}/{x}/{y}.png"

def prefetch(points, zooms=(8, 9)):
    urls, skipped = [], []
    for point in points:
        for zoom in zooms:
            try:
                urls.append(tile_url(point, zoom=zoom))
            except OffMap:
                skipped.append(point.get("label", "unnamed"))
    return urls, skipped

def grid_pixels(points, zoom):
    columns = {tile_of(point["lat"], point["lon"], zoom)[0] for point in points}
    if not columns:
        return 0
    return (max(columns) - min(columns) + 1) * TILE
>> prefetch([{"lat": 52.5, "lon": 13.4}])
>> grid_pixels([{"lat": 52.5, "lon": 13.4}, {"lat": 48.1, "lon": 11.6}], 9)
?? prefetch([{"lat": 89.0, "lon": 0.0}])
?? grid_pixels([], 9)

@@ jobs/runner.py
import traceback
from time import monotonic

class JobFailed(Exception):
    pass

class Job:
    def __init__(self, name, func, params=None):
        self.name = name
        self.func = func
        self.params = params or {}
        self.took = None

    def execute(self):
        began = monotonic()
        try:
            outcome = self.func(**self.params)
        except ZeroDivisionError as exc:
            raise JobFailed(f"job {self.name} failed") from exc
        self.took = round(monotonic() - began, 3)
        return outcome

class Runner:
    def __init__(self):
        self.finished = {}
        self.broken = []

    def run_all(self, jobs):
        for job in jobs:
            try:
                self.finished[job.name] = job.execute()
            except JobFailed as exc:
                self.broken.append({"job": job.name, "trace": traceback.format_exception_only(exc)[0]})
        return len(self.broken)

    def summary(self):
        if not self.broken:
            return "all " + str(len(self.finished)) + " jobs fine"
        first = self.broken[0]
        return first["job"] + " broke: " + first["trace"].strip()

def nightly(specs):
    runner = Runner()
    runner.run_all([Job(name, func, params) for name, func, params in specs])
    return runner.summary()
>> nightly([("double", lambda n: n * 2, {"n": 4})])
>> Job("one", lambda: 1).execute()
?? nightly([("bad", lambda: 1 / 0, None)])
?? nightly([])

@@ passwords/policy.py
import hashlib
import string

MIN_LENGTH = 8
COMMON = {"password", "letmein1"}

class WeakPassword(ValueError):
    pass

def character_classes(password):
    pools = [string.ascii_lowercase, string.ascii_uppercase, string.digits]
    return sum(any(char in pool for char in password) for pool in pools)

def check_password(password, user=None):
    if len(password) < MIN_LENGTH:
        raise WeakPassword("too short")
    if password.lower() in COMMON:
        raise WeakPassword("too common")
    if user is not None and user["login"].lower() in password.lower():
        raise WeakPassword("contains the login")
    return character_classes(password)

def hash_password(password, salt="pepper"):
    return hashlib.sha256((salt + password).encode("utf-8")).hexdigest()[:12]

def set_password(user, password):
    try:
        strength = check_password(password, user=user)
    except WeakPassword as exc:
        return {"ok": False, "why": exc.args[0]}
    history = user.setdefault("history", [])
    history.append(hash_password(password))
    return {"ok": True, "strength": strength, "kept": len(history[-5:])}
>> set_password({"login": "kim"}, "Tr0ubador")
>> check_password("longenough1")
?? set_password({"login": "kim"}, "abc")
?? hash_password("p\u00e4ssword")

@@ charts/axis.py
import math

class EmptySeries(ValueError):
    pass

def nice_step(span, ticks=5):
    rough = span / ticks
    power = 10 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5):
        if rough <= factor * power:
            return factor * power
    return 10 * power

def bounds(series):
    numbers = [float(number) for number in series if number is not None]
    if not numbers:
        raise EmptySeries("nothing to draw")
    return min(numbers), max(numbers)

def tick_labels(series, ticks=5):
    bottom, top = bounds(series)
    if bottom == top:
        return [str(bottom)]
    step = nice_step(top - bottom, ticks=ticks)
    count = int((top - bottom) // step) + 1
    return [f"{bottom + i * step:g}" for i in range(count)]

def axis(chart):
    try:
        labels = tick_labels(chart["series"], chart.get("ticks", 5))
    except EmptySeries as exc:
        return chart["title"] + ": " + str(exc)
    return chart["title"] + ": " + " ".join(labels)
>> axis({"title": "Sales", "series": ["1", "7", "12"]})
>> nice_step(12, ticks=4)
?? axis({"title": "Sales", "series": []})
?? axis({"title": "Sales", "series": [3, 3, None]})

@@ rental/bikes.py
import itertools

DAY_CAP = 24

class DockEmpty(Exception):
    pass

class Dock:
    numbers = itertools.count(1)

    def __init__(self, street, bikes):
        self.number = next(Dock.numbers)
        self.street = street
        self.bikes = list(bikes)

    def unlock(self):
        try:
            return self.bikes.pop()
        except IndexError as exc:
            raise DockEmpty(f"no bike at {self.street}") from exc

    def lock(self, bike):
        self.bikes.append(bike)
        return len(self.bikes)

def fare(minutes, member=None):
    started = -(-minutes // 30)
    price = started * 2
    if member is not None:
        price = price * (1 - member["rebate"])
    return min(price, DAY_CAP)

def ride(start, end, minutes, member=None):
    try:
        bike = start.unlock()
    except DockEmpty as exc:
        return {"error": str(exc), "price": 0}
    end.lock(bike)
    return {"bike": bike, "price": fare(int(minutes), member=member)}

def day_total(rides):
    return sum(trip["price"] for trip in rides if trip.get("error") is None)
>> ride(Dock("Elm", ["b1"]), Dock("Oak", []), "45", {"rebate": 0.5})
>> day_total([{"price": 4}, {"price": 0, "error": "no bike"}])
?? ride(Dock("Elm", []), Dock("Oak", []), 10)
?? fare(70)

@@ quiz/rounds.py
import random
from operator import attrgetter

class NoQuestions(Exception):
    pass

class Player:
    def __init__(self, name):
        self.name = name
        self.points = 0
        self.streak = 0

    def answer(self, question, guess):
        if guess.strip().casefold() != question["solution"].casefold():
            self.streak = 0
            return False
        self.streak += 1
        self.points += question.get("worth", 1) * self.streak
        return True

def draw_questions(pool, number, seed=1):
    if len(pool) < number:
        raise NoQuestions(f"{len(pool)} of {number}")
    return random.Random(seed).sample(pool, number)

def scoreboard(players):
    placed = sorted(players, key=attrgetter("points"), reverse=True)
    return [str(place) + ". " + player.name for place, player in enumerate(placed, 1)]

def play_round(players, pool, guesses):
    try:
        questions = draw_questions(pool, 1)
    except NoQuestions as exc:
        return ["cancelled: " + str(exc)]
    for player in players:
        player.answer(questions[0], guesses.get(player.name, ""))
    return scoreboard(players)
>> play_round([Player("ada"), Player("bo")], [{"solution": "Oslo", "worth": 2}], {"bo": " oslo "})
>> Player("ada").answer({"solution": "Rome"}, "rome")
?? play_round([Player("ada")], [], {})
?? Player("ada").answer({"solution": "Rome"}, "")
"""
