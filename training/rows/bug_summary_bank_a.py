"""Modules of application code for the bug summaries, first part: `@@` opens a module, `>>` is an ordinary call, `??` an edge call."""

MODULES = r"""
@@ shop/cart.py
import json

TAX_RATE = 0.2

def total_price(items, discount=0):
    total = 0
    for item in items:
        total += item["price"] * item["qty"]
    return round(total * (1 + TAX_RATE) - discount, 2)

def mean_price(items):
    if not items:
        return 0
    return total_price(items) / len(items)

def receipt(raw, discount):
    order = json.loads(raw)
    amount = total_price(order["items"], discount=discount)
    return "Total: " + str(amount) + " " + order.get("currency", "EUR")
>> total_price([{"price": 3, "qty": 2}])
>> mean_price([{"price": 3, "qty": 2}, {"price": 1, "qty": 1}])
>> receipt('{"items": [{"price": 3, "qty": 2}], "currency": "USD"}', 1)
?? mean_price([])
?? receipt('{"items": [{"price": 3, "qty": 2}]}', 0)

@@ billing/invoice.py
from datetime import date, timedelta

NET_DAYS = 30

class Invoice:
    def __init__(self, number, issued, lines):
        self.number = number
        self.issued = issued
        self.lines = lines
        self.paid_on = None

    def amount_due(self):
        if self.paid_on is not None:
            return 0
        return sum(line["net"] for line in self.lines)

    @property
    def due_date(self):
        return self.issued + timedelta(days=NET_DAYS)

    def reminder(self, today):
        late = (today - self.due_date).days
        if late <= 0:
            return None
        return f"Invoice {self.number} is {late} days late: {self.amount_due()}"
>> Invoice(7, date(2024, 1, 1), [{"net": 10}]).amount_due()
>> Invoice(7, date(2024, 1, 1), [{"net": 10}]).reminder(date(2024, 3, 1))
?? Invoice(7, date(2024, 1, 1), []).reminder(date(2024, 1, 5))

@@ accounts/users.py
class UnknownUser(Exception):
    pass

def find_user(users, email):
    wanted = email.strip().lower()
    for user in users:
        if user["email"] == wanted:
            return user
    return None

def display_name(users, email):
    user = find_user(users, email)
    if user is None:
        return "guest"
    first, last = user["name"].split(" ", 1)
    return first + " " + last[0] + "."

def require_role(users, email, role):
    user = find_user(users, email)
    try:
        return role in user["roles"]
    except (KeyError, TypeError) as exc:
        raise UnknownUser(f"no roles for {email}") from exc
>> display_name([{"email": "a@b.c", "name": "Ann Lee", "roles": ["admin"]}], "a@b.c")
>> require_role([{"email": "a@b.c", "name": "Ann Lee", "roles": ["admin"]}], "A@b.c ", "admin")
?? display_name([], "x@y.z")
?? display_name([{"email": "q@b.c", "name": "Quy Li"}], "q@b.c")

@@ metrics/latency.py
import math
from collections import defaultdict

def percentile(samples, share):
    if not samples:
        return None
    ranked = sorted(samples)
    position = math.ceil(share * len(ranked)) - 1
    return ranked[max(position, 0)]

def group_by_route(events):
    groups = defaultdict(list)
    for route, millis in events:
        groups[route].append(float(millis))
    return groups

def slowest_route(events, share=0.95):
    groups = group_by_route(events)
    best = None
    for route, samples in groups.items():
        value = percentile(samples, share=share)
        if best is None or value > best[1]:
            best = (route, value)
    return best
>> percentile([3, 1, 2], 0.5)
>> slowest_route([("/a", "12"), ("/b", "40"), ("/a", "9")])
?? percentile([], 0.5)
?? slowest_route([])

@@ parsing/csv_rows.py
import csv
import io

class RowError(ValueError):
    pass

def read_rows(text, delimiter=","):
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    return list(reader)

def to_number(cell):
    cleaned = cell.strip().replace(" ", "")
    if not cleaned:
        return 0.0
    return float(cleaned)

def column_sum(text, column):
    result = 0
    for row in read_rows(text, delimiter=";"):
        try:
            result += to_number(row[column])
        except ValueError as exc:
            raise RowError("bad number in " + column) from exc
    return result
>> read_rows("a,b\n1,2\n")
>> column_sum("day;sales\nmon;3\ntue;4\n", "sales")
?? column_sum("day;sales\nmon; \ntue;1 000\n", "sales")

@@ scheduler/slots.py
from datetime import datetime, timedelta

DAY_FORMAT = "%Y-%m-%d %H:%M"

def parse_slot(text):
    start, _, end = text.partition(" / ")
    begin = datetime.strptime(start, DAY_FORMAT)
    finish = datetime.strptime(end, DAY_FORMAT)
    return begin, finish

def overlaps(one, other):
    begin, finish = parse_slot(one)
    start, end = parse_slot(other)
    return begin < end and start < finish

def next_free(slots, minutes):
    ordered = sorted(parse_slot(slot) for slot in slots)
    if not ordered:
        return None
    cursor = ordered[0][1]
    for begin, finish in ordered[1:]:
        if begin - cursor >= timedelta(minutes=minutes):
            return cursor
        cursor = max(cursor, finish)
    return cursor
>> overlaps("2024-05-01 09:00 / 2024-05-01 10:00", "2024-05-01 09:30 / 2024-05-01 11:00")
>> next_free(["2024-05-01 09:00 / 2024-05-01 10:00", "2024-05-01 12:00 / 2024-05-01 13:00"], 30)
?? next_free([], 30)
?? next_free(["2024-05-01 09:00 / 2024-05-01 10:00"], 15)

@@ inventory/stock.py
LOW_MARK = 5

class OutOfStock(Exception):
    pass

class Shelf:
    def __init__(self, label):
        self.label = label
        self.boxes = {}

    def stow(self, sku, count):
        self.boxes[sku] = self.boxes.get(sku, 0) + count
        return self

    def take(self, sku, count=1):
        left = self.boxes.get(sku, 0) - count
        if left < 0:
            raise OutOfStock(sku)
        self.boxes[sku] = left
        return left

    def purge(self):
        for sku in list(self.boxes):
            if self.boxes[sku] == 0:
                del self.boxes[sku]
        return len(self.boxes)

    def low_items(self):
        return [sku for sku, count in self.boxes.items() if count < LOW_MARK]
>> Shelf("A1").stow("x", 3).take("x")
>> Shelf("A1").stow("x", 3).low_items()
>> Shelf("A1").stow("x", 3).stow("y", 9).purge()
?? Shelf("A1").stow("x", 0).stow("y", 2).purge()
?? Shelf("B2").low_items()

@@ weather/station.py
ABSOLUTE_ZERO = -273.15

def to_celsius(kelvin):
    return round(kelvin + ABSOLUTE_ZERO, 1)

def valid_readings(readings):
    return [reading for reading in readings if reading.get("temp") is not None]

def daily_mean(readings):
    good = valid_readings(readings)
    if len(good) == 0:
        return None
    return sum(to_celsius(reading["temp"]) for reading in good) / len(good)

def report_line(station, readings):
    mean = daily_mean(readings)
    if mean is None:
        return station["name"] + ": no data"
    return "%s: %.1f C from %d readings" % (station["name"], mean, len(readings))
>> daily_mean([{"temp": 280.0}, {"temp": 290.0}])
>> report_line({"name": "Oslo"}, [{"temp": 280.0}])
?? report_line({"name": "Oslo"}, [])
?? daily_mean([{"temp": None}, {"hour": 3}])

@@ mail/queue.py
import heapq

class MailQueue:
    def __init__(self, limit=3):
        self.limit = limit
        self.heap = []
        self.failed = {}

    def push(self, address, priority=1):
        domain = address.split("@")[1]
        heapq.heappush(self.heap, (priority, domain, address))
        return len(self.heap)

    def pop_next(self):
        if not self.heap:
            return None
        priority, domain, address = heapq.heappop(self.heap)
        return address

    def retry(self, address):
        tries = self.failed.get(address, 0) + 1
        if tries > self.limit:
            return False
        self.failed[address] = tries
        self.push(address, priority=tries)
        return True
>> MailQueue().push("a@b.c")
>> MailQueue().retry("a@b.c")
>> [q.pop_next() for q in [MailQueue()] if q.push("a@b.c", 2)]
?? MailQueue().pop_next()

@@ geo/distance.py
import math

EARTH_KM = 6371

def parse_point(text):
    lat, lon = text.split(",")
    return float(lat), float(lon)

def haversine(a, b):
    lat1, lon1 = map(math.radians, a)
    lat2, lon2 = map(math.radians, b)
    h = math.sin((lat2 - lat1) / 2) ** 2
    h += math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(h))

def route_length(points):
    if len(points) < 2:
        return 0.0
    stops = [parse_point(point) for point in points]
    legs = [haversine(stops[i], stops[i + 1]) for i in range(len(stops) - 1)]
    return sum(legs)

def average_leg(points):
    legs = len(points) - 1
    if legs < 1:
        return None
    return route_length(points) / legs
>> route_length(["52.5,13.4", "48.1,11.6", "50.1,8.7"])
>> average_leg(["52.5,13.4", "48.1,11.6"])
?? route_length(["52.5,13.4"])
?? average_leg(["52.5,13.4"])

@@ auth/tokens.py
import base64
import hashlib
import hmac

SECRET = "not-a-secret"

class BadToken(Exception):
    pass

def sign(payload):
    digest = hmac.new(SECRET.encode("utf-8"), payload.encode("utf-8"), hashlib.sha256)
    return digest.hexdigest()[:16]

def make_token(user_id, scope="read"):
    payload = ":".join([str(user_id), scope])
    text = payload + ":" + sign(payload)
    return base64.b64encode(text.encode("utf-8")).decode("ascii")

def read_token(token):
    try:
        text = base64.b64decode(token).decode("utf-8")
        user_id, scope, mac = text.split(":")
    except ValueError as exc:
        raise BadToken(f"cannot read {token!r}") from exc
    if mac != sign(user_id + ":" + scope):
        raise BadToken("wrong signature")
    return int(user_id), scope
>> make_token(12)
>> read_token(make_token(12, scope="write"))
?? read_token(make_token(3, scope="caf\u00e9"))

@@ library/loans.py
from datetime import date, timedelta

FINE_PER_DAY = 0.25
LOAN_PERIOD = timedelta(days=21)

def due_on(loan):
    base = loan.get("renewed") or loan["lent"]
    return date.fromisoformat(base) + LOAN_PERIOD

def fine_for(loan, today):
    if loan.get("returned"):
        return 0
    days = (today - due_on(loan)).days
    return max(days, 0) * FINE_PER_DAY

def member_fines(loans, today):
    fines = {}
    for loan in loans:
        member = loan["member"]
        fines.setdefault(member, 0)
        fines[member] += fine_for(loan, today)
    return fines

def worst_member(loans, today):
    fines = member_fines(loans, today=today)
    ranking = sorted(fines.items(), key=lambda pair: pair[1])
    if not ranking:
        return None
    return ranking[-1][0]
>> fine_for({"lent": "2024-01-02"}, date(2024, 3, 1))
>> worst_member([{"lent": "2024-01-02", "member": "kim"}], date(2024, 3, 1))
?? worst_member([], date(2024, 3, 1))
?? fine_for({"returned": True}, date(2024, 3, 1))

@@ game/board.py
class Board:
    def __init__(self, width, height):
        self.width = width
        self.height = height
        self.cells = [["."] * width for _ in range(height)]

    def place(self, x, y, mark):
        if not self.inside(x, y):
            return False
        self.cells[y][x] = mark
        return True

    def inside(self, x, y):
        return 0 <= x < self.width and 0 <= y < self.height

    def neighbours(self, x, y):
        around = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
        return [self.cells[b][a] for a, b in around if self.inside(a, b)]

    def picture(self):
        return "\n".join("".join(row) for row in self.cells)

def play(moves, size=3):
    board = Board(size, size)
    for x, y, mark in moves:
        board.place(int(x), int(y), mark)
    return board.picture()
>> play([(0, 0, "x"), (1, 2, "o")])
>> play([("0", "1", "x")])
>> Board(3, 3).neighbours(1, 1)
?? Board(2, 2).neighbours(1, 1)
?? Board(2, 2).place(5, 0, "x")

@@ config/loader.py
import json
from pathlib import PurePosixPath

DEFAULTS = {"timeout": 30, "retries": 2}

class ConfigError(Exception):
    pass

def merge(base, extra):
    merged = dict(base)
    for key, value in extra.items():
        if isinstance(value, dict):
            merged[key] = merge(merged.get(key, {}), value)
        else:
            merged[key] = value
    return merged

def load_config(text, name="config.json"):
    stem = PurePosixPath(name).stem
    try:
        data = json.loads(text or "{}")
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{stem} is not valid JSON") from exc
    return merge(DEFAULTS, data)

def timeout_of(text, service):
    settings = load_config(text)
    section = settings.get(service, {})
    return int(section.get("timeout", settings["timeout"]))
>> load_config('{"retries": 5}')
>> timeout_of('{"api": {"timeout": "12"}}', "api")
?? timeout_of("", "api")
?? timeout_of('{"timeout": 9}', "api")

@@ text/slugs.py
import re
import unicodedata

MAX_SLUG = 40
UNSAFE = re.compile(r"[^a-z0-9]+")

def slugify(title):
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    slug = UNSAFE.sub("-", plain.lower()).strip("-")
    return slug[:MAX_SLUG]

def unique_slug(title, taken):
    slug = slugify(title)
    if slug not in taken:
        return slug
    number = 2
    while slug + "-" + str(number) in taken:
        number += 1
    return f"{slug}-{number}"

def first_words(title, count=3):
    words = title.split()
    if not words:
        return ""
    head = words[0].capitalize()
    return " ".join([head] + words[1:count])
>> slugify("Hello, World")
>> unique_slug("Hello", {"hello", "hello-2"})
>> first_words("the quick brown fox")
?? first_words("")
?? slugify("Caf\u00e9 au lait")

@@ payments/refunds.py
from decimal import Decimal

FEE = Decimal("0.30")

class RefundDenied(Exception):
    pass

def parse_amount(text):
    return Decimal(text.replace(",", "."))

def refundable(payment):
    taken = sum(parse_amount(part["amount"]) for part in payment["refunds"])
    return parse_amount(payment["amount"]) - taken - FEE

def refund(payment, text, reason=None):
    amount = parse_amount(text)
    left = refundable(payment)
    if amount > left:
        raise RefundDenied(f"only {left} left")
    note = reason.strip() if reason is not None else "n/a"
    payment["refunds"].append({"amount": str(amount), "note": note})
    return left - amount
>> refundable({"amount": "20,00", "refunds": []})
>> refund({"amount": "20.00", "refunds": [{"amount": "1.00"}]}, "5", reason=" broken ")
?? refund({"amount": "20.00", "refunds": []}, "5")

@@ sensors/filter.py
from collections import deque

class MovingAverage:
    def __init__(self, size=4):
        self.window = deque(maxlen=size)
        self.last = None

    def feed_sample(self, sample):
        self.window.append(float(sample))
        self.last = sum(self.window) / len(self.window)
        return self.last

    def reset(self):
        self.window.clear()
        self.last = None

    def jump(self, sample):
        if self.last is None:
            return 0.0
        return abs(float(sample) - self.last)

def smooth(samples, size=4, limit=10):
    average = MovingAverage(size)
    kept = []
    for sample in samples:
        if average.jump(sample) > limit:
            average.reset()
        kept.append(average.feed_sample(sample))
    return kept
>> smooth(["1.0", "2.0", "3.5"])
>> smooth([1, 2, 40, 41], size=2)
?? smooth([])
?? MovingAverage().jump("3")

@@ blog/feed.py
from datetime import datetime
from html import escape

STAMP = "%Y-%m-%dT%H:%M"

def sort_posts(posts):
    return sorted(posts, key=lambda post: datetime.strptime(post["published"], STAMP), reverse=True)

def entry(post):
    author = post.get("author") or {"name": "staff"}
    tags = ", ".join(post.get("tags", []))
    return "<entry>" + escape(post["title"]) + " by " + author["name"] + " [" + tags + "]</entry>"

def build_feed(posts, limit=10):
    chosen = sort_posts(posts)[:limit]
    if not chosen:
        return "<feed/>"
    updated = chosen[0]["published"]
    body = "".join(entry(post) for post in chosen)
    return f"<feed updated='{updated}'>{body}</feed>"
>> build_feed([{"title": "A & B", "published": "2024-01-02T10:00", "author": {"name": "Jo"}, "tags": ["x"]}])
?? build_feed([])
?? entry({"title": "Untitled"})

@@ network/retry.py
import random
import time

class GiveUp(RuntimeError):
    pass

def backoff(attempt, base=0.0, cap=8.0):
    delay = min(cap, base * 2 ** attempt)
    return delay * random.random()

def call_with_retry(func, attempts=3, base=0.0):
    errors = []
    for attempt in range(attempts):
        try:
            return func()
        except OSError as exc:
            errors.append(str(exc))
            time.sleep(backoff(attempt, base=base))
    raise GiveUp("; ".join(errors))

def fetch_all(sources, attempts=2):
    results = {}
    for name, func in sources.items():
        try:
            results[name] = call_with_retry(func, attempts=attempts)
        except GiveUp as exc:
            results[name] = "failed: " + str(exc)
    return results
>> backoff(1)
>> fetch_all({"one": lambda: 1})
?? fetch_all({"one": lambda: open("/nonexistent")})
?? fetch_all({})
"""
