"""Modules of application code for the bug summaries, third part: `@@` opens a module, `>>` is an ordinary call, `??` an edge call."""

MODULES = r"""
@@ clinic/appointments.py
from datetime import date

class NoSuchPatient(LookupError):
    pass

def patient_by_id(patients, patient_id):
    for patient in patients:
        if patient["id"] == int(patient_id):
            return patient
    raise NoSuchPatient(patient_id)

def age_on(patient, day):
    born = date.fromisoformat(patient["born"])
    before_birthday = (day.month, day.day) < (born.month, born.day)
    return day.year - born.year - before_birthday

def greeting(patients, patient_id):
    try:
        patient = patient_by_id(patients, patient_id)
    except NoSuchPatient as exc:
        return "unknown patient " + str(exc)
    title = patient.get("title", "")
    return (title + " " + patient["surname"]).strip()

def needs_guardian(patients, patient_id, day):
    patient = patient_by_id(patients, patient_id)
    guardian = patient.get("guardian")
    if guardian is None:
        return False
    return age_on(patient, day) < 18 and guardian["phone"].isdigit()
>> greeting([{"id": 4, "surname": "Ito", "title": "Dr"}], "4")
>> needs_guardian([{"id": 4, "born": "2012-05-05", "guardian": {"phone": "123"}}], "4", date(2024, 1, 1))
?? greeting([], "9")
?? needs_guardian([{"id": 4, "born": "2012-05-05"}], 4, date(2024, 1, 1))

@@ crawler/frontier.py
from collections import deque
from urllib.parse import urljoin, urlsplit

class Frontier:
    def __init__(self, seeds, max_depth=2):
        self.queue = deque((seed, 0) for seed in seeds)
        self.seen = set(seeds)
        self.max_depth = max_depth

    def next_page(self):
        if not self.queue:
            return None
        url, depth = self.queue.popleft()
        return {"url": url, "depth": depth}

    def add_links(self, page, links):
        depth = page["depth"] + 1
        if depth > self.max_depth:
            return 0
        fresh = [urljoin(page["url"], link) for link in links]
        fresh = [url for url in fresh if url not in self.seen]
        for url in fresh:
            self.seen.add(url)
            self.queue.append((url, depth))
        return len(fresh)

    def hosts(self):
        return {urlsplit(url).netloc for url in self.seen}

def crawl(seeds, graph):
    frontier = Frontier(seeds, max_depth=3)
    order = []
    while (page := frontier.next_page()) is not None:
        order.append(page["url"])
        frontier.add_links(page, graph.get(page["url"], []))
    return order
>> crawl(["http://a/"], {"http://a/": ["x", "y"]})
>> Frontier(["http://a/", "http://b/z"]).hosts()
?? crawl([], {})

@@ warehouse/picking.py
from itertools import groupby
from operator import itemgetter

AISLE_COST = 30

def by_aisle(lines):
    ordered = sorted(lines, key=itemgetter("aisle"))
    return {aisle: list(group) for aisle, group in groupby(ordered, key=itemgetter("aisle"))}

def walk_cost(lines):
    aisles = by_aisle(lines)
    cost = 0
    for aisle, picks in aisles.items():
        furthest = max(pick["bay"] for pick in picks)
        cost += AISLE_COST + 2 * furthest
    return cost

def split_batches(lines, size):
    batches = []
    for start in range(0, len(lines), size):
        batches.append(lines[start:start + size])
    return batches

def cheapest_batch(lines, size=2):
    batches = split_batches(lines, size=size)
    if not batches:
        return None, 0
    costs = [walk_cost(batch) for batch in batches]
    lowest = costs.index(min(costs))
    return batches[lowest], costs[lowest]

def describe(lines):
    batch, cost = cheapest_batch(lines)
    if batch is None:
        return "nothing to pick"
    return str(len(batch)) + " picks for " + str(cost)
>> describe([{"aisle": 1, "bay": 4}, {"aisle": 2, "bay": 1}, {"aisle": 1, "bay": 2}])
>> walk_cost([{"aisle": 1, "bay": 4}])
?? describe([])

@@ forms/validate.py
import re

EMAIL = re.compile(r"[^@ ]+@[^@ ]+\.[a-z]+$")

class Invalid(ValueError):
    pass

def check_email(value):
    if not EMAIL.match(value):
        raise Invalid(f"not an e-mail address: {value}")
    return value.lower()

def check_number(value, low=0, high=100):
    number = int(value)
    if not low <= number <= high:
        raise Invalid(f"{number} is not between {low} and {high}")
    return number

RULES = {"email": check_email, "seats": check_number}

def clean(form):
    cleaned, problems = {}, {}
    for field, rule in RULES.items():
        try:
            cleaned[field] = rule(form.get(field, "").strip())
        except Invalid as exc:
            problems[field] = str(exc)
        except ValueError:
            problems[field] = "not a number"
    return cleaned, problems

def submit(form):
    cleaned, problems = clean(form)
    if problems:
        return {"status": 422, "errors": sorted(problems)}
    return {"status": 200, "email": cleaned["email"]}
>> submit({"email": "A@b.de", "seats": "3"})
>> check_number("7", high=9)
?? submit({})
?? submit({"email": "nobody", "seats": "300"})

@@ energy/meter.py
PRICE_PER_KWH = 0.31
NIGHT_HOURS = range(0, 6)

def consumption(readings):
    deltas = []
    for previous, current in zip(readings, readings[1:]):
        deltas.append(current["kwh"] - previous["kwh"])
    return deltas

def tariff(hour, prices=None):
    if prices is None:
        return PRICE_PER_KWH
    return prices["night"] if hour in NIGHT_HOURS else prices["day"]

def cost(readings, prices=None):
    total = 0.0
    for delta, reading in zip(consumption(readings), readings):
        total += delta * tariff(reading["hour"], prices=prices)
    return round(total, 2)

def peak_hour(readings):
    deltas = consumption(readings)
    if not deltas:
        return None
    return readings[deltas.index(max(deltas))]["hour"]

def bill(customer, readings, prices=None):
    peak = peak_hour(readings)
    return "%s pays %s, peak at %s" % (customer, cost(readings, prices), peak)
>> bill("Kim", [{"kwh": 1, "hour": 0}, {"kwh": 4, "hour": 1}])
>> cost([{"kwh": 1, "hour": 0}, {"kwh": 4, "hour": 9}], {"night": 0.2, "day": 0.4})
?? bill("Kim", [])
?? peak_hour([{"kwh": 1, "hour": 3}])

@@ voting/ballots.py
from collections import Counter

class Spoiled(Exception):
    pass

def first_choice(ballot, eliminated):
    for name in ballot:
        if name not in eliminated:
            return name
    return None

def count_round(ballots, eliminated):
    tally = Counter()
    for ballot in ballots:
        choice = first_choice(ballot, eliminated)
        if choice is not None:
            tally[choice] += 1
    return tally

def winner(ballots):
    eliminated = set()
    while True:
        tally = count_round(ballots, eliminated)
        if not tally:
            return None
        leader, votes = tally.most_common(1)[0]
        if votes * 2 > sum(tally.values()):
            return leader
        eliminated.add(min(tally, key=tally.get))

def read_ballot(line):
    names = [name.strip() for name in line.split(">")]
    if len(set(names)) != len(names):
        raise Spoiled(line)
    return names

def elect(lines):
    ballots = [read_ballot(line) for line in lines]
    chosen = winner(ballots)
    return chosen.upper() if chosen is not None else "nobody"
>> elect(["ann > bob", "bob > ann", "ann"])
>> count_round([["ann", "bob"]], {"ann"})
?? elect([])

@@ printing/labels.py
import textwrap

WIDTH = 24

class Label:
    def __init__(self, name, street, city, code=None):
        self.name = name
        self.street = street
        self.city = city
        self.code = code

    def city_line(self):
        if self.code is None:
            return self.city.upper()
        return str(self.code).zfill(5) + " " + self.city.upper()

    def lines(self):
        block = textwrap.wrap(self.name, WIDTH)
        block.append(self.street[:WIDTH])
        block.append(self.city_line())
        return block

class Sheet:
    def __init__(self, columns=2):
        self.columns = columns
        self.labels = []

    def stick(self, label):
        self.labels.append(label)
        return len(self.labels) // self.columns

    def text(self):
        return "\n\n".join("\n".join(label.lines()) for label in self.labels)

def print_all(addresses, columns=2):
    sheet = Sheet(columns=columns)
    for address in addresses:
        sheet.stick(Label(address["name"], address["street"], address["city"], address.get("code")))
    return sheet.text()
>> print_all([{"name": "Ann Lee", "street": "Elm 3", "city": "Bonn", "code": 5311}])
>> Sheet().stick(Label("A", "B", "C"))
?? print_all([{"name": "Ann Lee", "street": "Elm 3", "city": "Bonn"}])

@@ fleet/vehicles.py
from datetime import date

SERVICE_KM = 15000

class Vehicle:
    fleet_size = 0

    def __init__(self, plate, km=0):
        self.plate = plate.replace(" ", "")
        self.km = km
        self.trips = []
        Vehicle.fleet_size += 1

    @staticmethod
    def valid_plate(text):
        return text[:2].isalpha() and text[-2:].isdigit()

    @property
    def service_due(self):
        return self.km >= SERVICE_KM

    def drive(self, day, km):
        self.trips.append((day, km))
        self.km += int(km)
        return self.km

    def last_trip(self):
        if not self.trips:
            return None
        day, km = self.trips[-1]
        return day.isoformat()

def due_plates(rows):
    plates = []
    for plate, km in rows:
        if not Vehicle.valid_plate(plate):
            continue
        vehicle = Vehicle(plate, km)
        vehicle.drive(date(2024, 2, 2), km="120")
        if vehicle.service_due and vehicle.last_trip() is not None:
            plates.append(vehicle.plate)
    return plates
>> due_plates([("AB 123", 14990), ("XY 777", 3)])
>> Vehicle("AB 12", 5).drive(date(2024, 1, 1), "7")
?? Vehicle("AB 12").last_trip()
?? due_plates([])

@@ shipping/parcels.py
from dataclasses import dataclass, field

ZONES = {"DE": 1, "FR": 2, "US": 4}
BASE_FEE = {1: 4.5, 2: 7.0, 4: 19.0}

@dataclass
class Parcel:
    country: str
    grams: int
    extras: list = field(default_factory=list)

    def zone(self):
        return ZONES.get(self.country, 4)

    def kilos(self):
        return max(self.grams / 1000, 0.1)

def surcharge(parcel):
    fee = 0.0
    for extra in parcel.extras:
        fee += extra["fee"]
    return fee

def postage(parcel):
    fee = BASE_FEE[parcel.zone()]
    if parcel.kilos() > 2:
        fee = fee * 1.5
    return fee + surcharge(parcel)

def quote(order):
    parcel = Parcel(order["country"].upper(), int(order["grams"]), order.get("extras", []))
    return f"{parcel.country}: {postage(parcel):.2f}"

def cheapest(orders):
    if not orders:
        return ""
    return min((quote(order) for order in orders), key=len)
>> quote({"country": "de", "grams": "1200", "extras": [{"fee": 1.5}]})
>> cheapest([{"country": "fr", "grams": "900"}, {"country": "us", "grams": "4000"}])
?? cheapest([])
?? quote({"country": "nz", "grams": "10"})

@@ notify/templates.py
from string import Template

FOOTER = "You get this because you follow $project."

class MissingField(Exception):
    pass

def render(body, values):
    template = Template(body + "\n" + FOOTER)
    try:
        return template.substitute(values)
    except KeyError as exc:
        raise MissingField(exc.args[0]) from exc

def recipients(event, followers):
    muted = event.get("muted", [])
    return [person for person in followers if person["login"] not in muted]

def subject(event):
    kind, _, number = event["ref"].partition("/")
    if not number:
        return kind.title()
    return kind.title() + " #" + str(int(number))

def deliver(event, followers, outbox):
    for person in recipients(event, followers):
        values = {"project": event["project"], "login": person["login"]}
        text = render("Dear $login,", values)
        outbox.append((person["mail"], subject(event), text))
    return len(outbox)
>> deliver({"ref": "issue/12", "project": "oak"}, [{"login": "kim", "mail": "k@x.y"}], [])
>> subject({"ref": "issue/12"})
?? subject({"ref": "wiki"})
?? deliver({"ref": "issue/12", "project": "oak", "muted": ["kim"]}, [{"login": "kim"}], [])

@@ polls/results.py
BAR = 20

def shares(votes):
    total = sum(votes.values())
    if total == 0:
        return dict.fromkeys(votes, 0.0)
    return {option: count / total for option, count in votes.items()}

def bar(share, width=BAR):
    filled = int(share * width)
    return "#" * filled + "." * (width - filled)

def chart(poll):
    rows = []
    for option, share in sorted(shares(poll["votes"]).items()):
        rows.append(option.ljust(8) + bar(share, width=poll.get("width", BAR)))
    return "\n".join(rows)

def close_poll(poll):
    best = max(poll["votes"], key=poll["votes"].get, default=None)
    if best is None:
        return "no votes"
    poll["closed"] = True
    return poll["question"] + " " + best
>> chart({"votes": {"yes": 3, "no": 1}, "width": 8})
>> close_poll({"question": "Lunch?", "votes": {"soup": 2, "rice": 1}})
?? close_poll({"question": "Lunch?", "votes": {}})
?? chart({"votes": {"yes": 0}})

@@ auction/bids.py
import bisect
import json

MIN_STEP = 5

class BidTooLow(ValueError):
    pass

class Auction:
    def __init__(self, lot, reserve):
        self.lot = lot
        self.reserve = reserve
        self.bids = []

    def highest(self):
        if not self.bids:
            return None
        return self.bids[-1]

    def bid(self, bidder, amount):
        top = self.highest()
        if top is not None and amount < top[0] + MIN_STEP:
            raise BidTooLow(f"{amount} does not beat {top[0]}")
        bisect.insort(self.bids, (amount, bidder))
        return len(self.bids)

    def sold_to(self):
        top = self.highest()
        if top is None or top[0] < self.reserve:
            return "not sold"
        return top[1]

def replay(lot, text):
    auction = Auction(lot, reserve=50)
    for event in json.loads(text):
        try:
            auction.bid(event["bidder"], int(event["amount"]))
        except BidTooLow as exc:
            event["rejected"] = str(exc)
    return auction.sold_to()
>> replay("lamp", '[{"bidder": "kim", "amount": "60"}, {"bidder": "lu", "amount": "70"}]')
>> Auction("lamp", 5).bid("kim", 9)
?? replay("lamp", "[]")
?? replay("vase", '[{"bidder": "kim", "amount": 60}, {"bidder": "lu", "amount": 61}]')

@@ school/grades.py
PASS_MARK = 50
WEIGHTS = {"exam": 0.6, "lab": 0.4}

def weighted(marks):
    total = 0
    for part, weight in WEIGHTS.items():
        total += float(marks.get(part, 0)) * weight
    return total

def grade_letter(points):
    for letter, floor in [("A", 85), ("B", 70), ("C", PASS_MARK)]:
        if points >= floor:
            return letter
    return "F"

def transcript(pupil):
    lines = []
    for course, marks in pupil["courses"].items():
        lines.append(course.ljust(10) + grade_letter(weighted(marks)))
    return "\n".join(lines)

def class_average(pupils, course):
    points = [weighted(pupil["courses"][course]) for pupil in pupils if course in pupil["courses"]]
    if not points:
        return None
    return sum(points) / len(points)
>> transcript({"courses": {"maths": {"exam": "91", "lab": "80"}}})
>> class_average([{"courses": {"art": {"exam": 50, "lab": 60}}}], "art")
?? class_average([{"courses": {}}], "art")
?? transcript({"courses": {"maths": {"exam": 40}}})

@@ photos/albums.py
from collections import defaultdict
from datetime import datetime

EXIF = "%Y:%m:%d %H:%M:%S"

def taken_at(photo):
    stamp = photo["exif"].get("DateTime")
    if stamp is None:
        return None
    return datetime.strptime(stamp, EXIF)

def by_month(photos):
    months = defaultdict(list)
    for photo in photos:
        moment = taken_at(photo)
        key = "undated" if moment is None else moment.strftime("%Y-%m")
        months[key].append(photo["file"])
    return dict(months)

def cover(photos, month):
    files = by_month(photos).get(month, [])
    if len(files) == 0:
        return "blank.jpg"
    return files[0]

def album_title(photos):
    months = sorted(by_month(photos))
    return months[0] + " to " + months[-1]
>> album_title([{"file": "a.jpg", "exif": {"DateTime": "2023:07:01 10:00:00"}}])
>> cover([{"file": "a.jpg", "exif": {"DateTime": "2023:07:01 10:00:00"}}], "2023-07")
?? cover([{"file": "a.jpg", "exif": {}}], "2023-07")
?? album_title([{"file": "a.jpg", "exif": {}}])

@@ dns/zones.py
import ipaddress

class ZoneError(Exception):
    pass

class Zone:
    def __init__(self, origin, ttl=3600):
        self.origin = origin.rstrip(".")
        self.ttl = ttl
        self.records = []

    def add_line(self, line):
        name, kind, value = line.split()
        if kind == "A":
            value = self.checked_ip(value)
        self.records.append({"name": name, "kind": kind, "value": value})

    def checked_ip(self, value):
        try:
            return str(ipaddress.ip_address(value))
        except ValueError as exc:
            raise ZoneError(f"{value} in {self.origin}") from exc

    def lookup(self, name, kind="A"):
        for record in self.records:
            if record["name"] == name and record["kind"] == kind:
                return record["value"]
        return None

    def resolve(self, name):
        target = self.lookup(name, kind="CNAME")
        if target is not None:
            return self.resolve(target)
        return self.lookup(name)

def load_zone(origin, text):
    zone = Zone(origin)
    for line in text.splitlines():
        if line and not line.startswith(";"):
            zone.add_line(line)
    return zone
>> load_zone("oak.dev.", "www CNAME web\nweb A 10.0.0.7").resolve("www")
>> load_zone("oak.dev.", "web A 10.0.0.7").lookup("web")
?? load_zone("oak.dev.", "; nothing here\n").resolve("www")

@@ tasks/graph.py
class CycleError(Exception):
    pass

def ready(graph, done):
    return [name for name, needs in graph.items() if name not in done and set(needs) <= done]

def run_order(graph):
    done = set()
    order = []
    while len(order) < len(graph):
        batch = sorted(ready(graph, done))
        if not batch:
            raise CycleError("stuck after " + str(len(order)) + " tasks")
        order.extend(batch)
        done.update(batch)
    return order

def critical_path(graph, costs, name):
    longest = 0
    for need in graph[name]:
        longest = max(longest, critical_path(graph, costs, need))
    return longest + costs.get(name, 1)

def estimate(graph, costs):
    order = run_order(graph)
    if not order:
        return 0
    return critical_path(graph, costs=costs, name=order[-1])
>> run_order({"build": [], "test": ["build"]})
>> estimate({"build": [], "test": ["build"]}, {"build": 4})
?? estimate({}, {})
"""
