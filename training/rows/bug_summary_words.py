"""Words for the bug summaries: synonyms for names, methods people mix up, comments of harmless changes, first lines of error output."""

# words inside names that may be put for each other throughout a module (its "skin"), or in one place (a bug)
SYNONYMS = """
total: whole full overall | price: cost charge | qty: quantity units pieces | discount: rebate reduction markdown | receipt: slip voucher
cart: basket trolley | invoice: bill statement | issued: drawn created | lines: rows positions | paid: settled cleared | due: payable owed
reminder: dunning nudge | late: overdue | user: member person account | email: mail address | wanted: needle target | roles: groups rights
role: right grant | samples: values points | sample: measure datum | share: portion fraction | ranked: sorted_list in_order | route: path endpoint
routes: paths endpoints | millis: msecs ticks | slowest: worst laziest | best: top leader | delimiter: separator sep | reader: parser source
cleaned: tidied stripped | cell: field box | column: col series | result: outcome answer | slot: window booking | slots: windows bookings
begin: opening first | finish: closing until | ordered: arranged queued | cursor: marker pointer | minutes: mins duration
shelf: rack bin | label: caption tag | boxes: crates bins | sku: article code | left: remaining rest | purge: sweep prune | stock: supply goods
kelvin: absolute raw_temp | readings: probes measurements | reading: probe measurement | temp: temperature degrees | good: usable valid
station: site post | report: digest overview | mean: average avg | queue: backlog pipeline | priority: rank urgency | domain: host realm
failed: broken bounced | tries: attempts rounds | limit: cap ceiling | lat: latitude north | lon: longitude east | legs: hops stages
stops: halts stations | points: marks spots | digest: checksum fingerprint | payload: body content | scope: grant realm | token: ticket pass
loan: lending rental | loans: lendings rentals | fine: penalty late_fee | fines: penalties late_fees | member: reader borrower | lent: borrowed handed
returned: brought_back given_back | renewed: extended prolonged | days: nights dates | worst: slowest weakest | ranking: order ladder
board: grid field | cells: squares tiles | mark: piece stone | width: breadth columns | height: depth levels | around: nearby adjacent | moves: turns steps
merged: combined joined | base: root ground | extra: addition bonus | settings: options preferences | section: chapter part | service: backend daemon
timeout: deadline patience | retries: repeats attempts | stem: basename core | slug: handle permalink | title: heading caption | taken: used reserved
number: num figure | plain: bare simple | words: terms parts | payment: transfer deposit | refund: payback reversal | reason: cause motive
note: remark memo | window: frame buffer | last: latest recent | jump: leap delta | smooth: soften flatten | kept: saved retained | post: article entry
posts: articles items | author: writer editor | chosen: picked selected | updated: changed modified | published: released posted | feed: stream channel
attempt: round trial | errors: faults problems | delay: pause wait | sources: feeds origins | results: outcomes answers | worker: employee staff
hours: shifts worked | gross: pretax before_tax | rate: tariff wage | net: takehome after_tax | timesheet: clockings hours_log | slips: sheets notes
room: lobby channel | topic: theme subject | capacity: seats space | members: guests people | history: messages transcript | nick: alias handle
term: token keyword | docs: pages texts | doc: page text_item | hits: matches found_count | counts: tallies numbers | score: weight relevance
query: question request | boost: bonus bump | cue: caption_block line_item | cues: captions subtitles | block: chunk stanza | offset: shift_by lag
letters: glyphs signs | speed: pace tempo | code: iso key_code | symbol: sign glyph | amount: sum_due figure | source: origin start | target: goal destination
balance: saldo funds | accounts: wallets ledgers | digits: places decimals | expires: stale_at until | ticket: issue case | tickets: issues cases
agent: operator clerk | agents: operators clerks | plan: schedule layout | subject: headline topic | loads: burdens weights | level: grade tier
plot: patch bed | plots: patches beds | moisture: humidity wetness | tank: barrel cistern | tanks: barrels cisterns | valve: tap gate | needed: required wanted
factor: multiplier coefficient | planned: scheduled booked | expected: estimated predicted | later: upcoming following | departures: trains runs
clock: timer watch | longest: biggest largest | image: picture photo | images: pictures photos | canvas: surface raster | jobs: orders chores
size: extent dimension | scores: marks ratings | question: prompt item | answers: replies responses | answer: reply response | forms: sheets papers
versions: releases builds | newest: latest freshest | tags: markers labels | tag: marker sticker | recipe: dish formula | servings: portions plates
ingredients: parts contents | unit: measure gauge | volume: amount_ml bulk | scaled: resized adjusted | summary: recap outline | fields: groups_found columns
hosts: machines servers | host: machine server | levels: severities kinds | skipped: ignored dropped | entries: bookings records | owner: holder keeper
opening: initial starting | moved: shifted sent | tracks: songs pieces | track: song piece | duration: length runtime | artist: band performer
previous: former prior | order: sequence arrangement | patient: client case | patients: clients cases | born: birthdate birthday | guardian: parent carer
surname: family_name last_name | phone: telephone mobile | url: link location | depth: distance hops | seen: visited known | links: anchors hrefs
fresh: unseen new_ones | frontier: horizon agenda | aisle: lane row_no | aisles: lanes corridors | bay: rack_no place | picks: grabs lines_here
batch: lot bundle | batches: lots bundles | costs: prices efforts | cost: expense outlay | lowest: minimum smallest | problems: complaints failures
form: sheet paper | low: lower floor | high: upper ceiling | seats: places chairs | status: state code_no | deltas: steps diffs | delta: step diff
hour: clock_hour time_slot | prices: tariffs rates | peak: maximum summit | customer: client buyer | ballot: vote paper | ballots: votes papers
eliminated: removed struck | tally: count_by scores | choice: pick option | votes: count_of ballots_for | leader: frontrunner first_place
street: road lane | city: town place | columns: across cols | address: contact recipient | addresses: contacts recipients | sheet: page leaf
plate: licence registration | km: mileage odometer | trips: journeys rides | vehicle: car van | plates: licences registrations | parcel: package shipment
country: nation region | grams: weight mass | extras: addons options | fee: surcharge toll | zone: area band | quote: offer estimate
event: incident happening | followers: watchers subscribers | muted: silenced blocked | values: fillings data | text: content wording | project: repo product
login: username handle | outbox: sent mailbag | option: candidate alternative | width: span breadth | filled: solid painted | poll: ballot survey
bid: offer tender | bids: offers tenders | bidder: buyer party | lot: item piece | reserve: floor minimum_price | course: subject module_name
marks: grades scores | pupil: student learner | pupils: students learners | photo: picture shot | photos: pictures shots | exif: metadata header
file: filename name_on_disk | months: periods folders | month: period folder | stamp: timestamp moment_text | cover: front thumbnail | records: entries lines
record: entry line_no | name: title handle | kind: type_name sort_of | done: finished complete | graph: network tree | needs: requires inputs
parse: read decode | load: open_up import_all | build: make assemble | find: look_up locate | render: draw show | make: create produce | check: verify test_for
count: tally_of number_of | next: following coming | read: scan take_in | describe: explain tell | format: print_as show_as
row: line record | rows: lines records | data: content parsed | item: entry article | items: entries articles | value: amount_in content | key: name_of field
message: remark body | start: origin beginning | end: stop finish_at | group: bunch cluster | groups: bunches clusters | day: date_of weekday
"""

# what people write for a method or function of the library
MIXED_UP = {
    "append": ["push", "add", "insert_last"],
    "add": ["append", "push", "include"],
    "strip": ["trim", "strip_all"],
    "lower": ["to_lower", "lowercase"],
    "upper": ["to_upper", "uppercase"],
    "items": ["iteritems", "pairs", "entries"],
    "values": ["itervalues", "vals"],
    "split": ["explode", "divide", "tokenize"],
    "splitlines": ["lines", "split_lines"],
    "startswith": ["starts_with", "begins_with", "has_prefix"],
    "join": ["concat", "implode"],
    "get": ["fetch", "find", "lookup"],
    "update": ["merge", "add_all"],
    "extend": ["concat", "append_all", "push_all"],
    "isdigit": ["is_digit", "is_number"],
    "isalpha": ["is_alpha", "is_letter"],
    "title": ["titlecase", "to_title"],
    "setdefault": ["set_default", "get_or_set"],
    "most_common": ["top", "commonest"],
    "groups": ["captures", "all_groups"],
    "group": ["capture", "get_group"],
    "groupdict": ["named_groups", "dict"],
    "isoformat": ["to_iso", "iso"],
    "strptime": ["parse", "from_format"],
    "strftime": ["format", "to_string"],
    "fromisoformat": ["from_iso", "parse_iso"],
    "loads": ["parse", "decode", "from_string"],
    "encode": ["to_bytes", "as_bytes"],
    "decode": ["to_text", "as_text"],
    "replace": ["substitute", "replace_all", "sub_all"],
    "sub": ["replace", "substitute"],
    "match": ["matches", "test"],
    "search": ["find", "lookup"],
    "partition": ["split_at", "cut"],
    "popleft": ["shift", "pop_first", "pop_left"],
    "clear": ["empty", "reset_all"],
    "index": ["index_of", "find"],
    "sqrt": ["square_root", "root"],
    "radians": ["to_radians", "rad"],
    "ceil": ["ceiling", "round_up"],
    "heappush": ["push", "heap_push"],
    "heappop": ["pop", "heap_pop"],
    "hexdigest": ["hex", "to_hex"],
    "wrap": ["fold", "wrap_text"],
    "zfill": ["pad_left", "zero_fill"],
    "ljust": ["pad_right", "left_just"],
    "capitalize": ["capitalise", "ucfirst"],
    "rstrip": ["trim_end", "strip_right"],
    "shuffle": ["mix", "shuffled"],
    "total_seconds": ["seconds", "in_seconds"],
    "with_name": ["rename", "set_name"],
}

# comments of a harmless change in the same diff
COMMENTS = """
keep in step with the importer
see the ticket about rounding
the order matters here
callers rely on this shape
checked with the support team
TODO: ask whether this can go
cheap enough to do every time
NB: the old API did this in two steps
not thread safe, but only one worker runs
the docs promise this
same rule as in the mobile app
kept for the monthly report
fixme: the name is misleading
agreed in the March review
this used to be configurable
do not cache, the data is small
has to match what finance exports
first come, first served
used by the admin page as well
yes, this is on purpose
see docs/decisions/014.md
slow for big inputs, fine for ours
legacy clients still send this
covered by the smoke test
easier to read than the one-liner
we could use a generator here
tested against last year's data
the frontend sorts again anyway
mirrors the logic in reports
stay lenient with what partners send
""".strip().splitlines()

DOCSTRINGS = """
See the handbook for the rules.
Kept small on purpose.
Used by the public API.
Internal, may change.
No side effects.
Called once per batch.
The caller owns what comes back.
Part of the weekly report.
Pure function, easy to test.
Called from several places.
Stable since version 2.
Wants clean input.
""".strip().splitlines()

USER_FACING = [
    "request GET /{stem}/{entry}",
    "request POST /{stem}/{entry}",
    "request PUT /api/{stem}",
    "request GET /api/{stem}/{entry}",
    "webhook {stem}.{entry}",
    "page /{stem}",
    "live query {entry}",
]

BACKGROUND = [
    "nightly job {stem}_{entry}",
    "hourly job {entry}",
    "weekly job {stem}",
    "queue worker {stem}",
    "backfill {stem}-{entry}",
    "cron job {entry}",
]

EDGE_TESTS = ["empty", "edge", "missing", "blank", "first_run", "no_data", "corner_case", "nothing_there"]
PLAIN_TESTS = ["", "_ok", "_basic", "_happy_path", "_simple", "_round_trip"]

ROOTS = ["", "", "", "src/", "app/", "lib/", "services/", "core/", "packages/", "backend/"]

# calls without arguments that get forgotten
DROPPED_CALLS = {"lower", "strip", "split", "items", "values", "groups", "splitlines"}

# texts and formats that get mixed up
TEXT_SWAPS = {
    ",": ";",
    ";": ",",
    ":": "|",
    " ": "\\t",
    "@": "#",
    ">": ",",
    ".": "-",
    "utf-8": "ascii",
    "ascii": "utf-16",
    " / ": "/",
    " --> ": " -> ",
}
FORMAT_SWAPS = [("%Y", "%y"), ("-%m-%d", "/%m/%d"), ("%Y-%m", "%m-%Y"), ("%H:%M", "%H.%M"), ("T%H", " %H"), (":%m", "-%m")]

NEW_ARGUMENTS = [
    "strict",
    "locale",
    "tenant",
    "currency",
    "mode",
    "context",
    "options",
    "verbose",
    "session",
    "logger",
    "region",
    "dry_run",
    "cache",
    "backend",
    "today",
]

UNUSED = ["DEBUG = False", "PAGE_SIZE = 50", "__all__ = []", "ENCODING = 'utf-8'", "VERSION = 2", "# public names first", "API_LEVEL = 3"]
