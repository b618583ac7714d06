"""The label sheet: nothing lost, nothing told about the models, hostile prompts inert, and what the page saves is what the task reads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_distill import report
from pytest_distill.answers import Labels
from pytest_distill.errors import DistillError
from pytest_distill.files import canonical_json
from pytest_distill.report.label import write_sheet
from pytest_distill.task import Task

LABELS = ("yes", "no", "no idea")
HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"' onmouseover=alert(1) x='\"><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; <!-- ]]>",
    "\u202eright to left\u202c, \u200bzero width, \ud800 alone, \U0001f600, é",
    "\nleading, \r\nCRLF,\rCR\u2028\u2029, \x00 \x7f \x1b[31m and a tab\t",
    "\\u0041 \\n \\",
    "long " * 1000 + "end",
]


def sheet(folder: Path, rows, labels=LABELS, **more) -> int:
    return write_sheet(folder / "heldout.labels.jsonl", folder / "out" / "label-t.html", "t", "expected_label", labels, rows, **more)


def lines(folder: Path) -> list[bytes]:
    return (folder / "heldout.labels.jsonl").read_bytes().splitlines()


def ids(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for line in lines(folder)]


def form(folder: Path) -> str:
    return (folder / "out" / "label-t.html").read_text(encoding="utf-8")


def put(folder: Path, *rows: bytes) -> None:
    (folder / "heldout.labels.jsonl").write_bytes(b"".join(row + b"\n" for row in rows))


class Parsed(HTMLParser):
    """The elements of a page with their attributes, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append((self.elements[-1][0] if self.elements else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


# The sheet


def test_a_new_sheet_has_each_row_once_and_canonical(tmp_path):
    """Each row that needs a label is one canonical JSON object with the exact prompt and null; the count of them is returned."""
    rows = [(f"row-{at}", text) for at, text in enumerate(HOSTILE)]
    assert sheet(tmp_path, rows) == len(HOSTILE)
    expected = {canonical_json({"id": name, "input": text, "expected_label": None}) for name, text in rows}
    assert set(lines(tmp_path)) == expected
    assert len(lines(tmp_path)) == len(HOSTILE)


def test_the_order_tells_nothing(tmp_path):
    """The same rows stand in the same order however they came, and not in that of their ids."""
    names = [f"row-{at:02}" for at in range(20)]
    orders = []
    for number, given in enumerate([names, names[::-1], names[10:] + names[:10]]):
        sheet(tmp_path / str(number), [(name, "?") for name in given])
        orders.append(ids(tmp_path / str(number)))
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == names != orders[0]


def test_labelled_rows_stay_to_the_letter(tmp_path):
    """Labelled lines are kept byte for byte and in order, waiting ones are kept with the present prompt or dropped, new ones follow."""
    kept = [b'{"id":"z" ,  "expected_label": "no"}', b'{"input": "\xc3\xa9", "expected_label":"yes", "id": "a"}\r']
    waiting = [b'{"id": "stays", "input": "old", "expected_label": null}', b'{"id": "goes", "input": "x", "expected_label": ""}']
    put(tmp_path, kept[0], waiting[0], b"  ", waiting[1], kept[1])
    assert sheet(tmp_path, [("stays", "new"), ("more", "m")]) == 2
    stays = canonical_json({"id": "stays", "input": "new", "expected_label": None})
    more = canonical_json({"id": "more", "input": "m", "expected_label": None})
    assert (tmp_path / "heldout.labels.jsonl").read_bytes() == b"".join(line + b"\n" for line in (kept[0], stays, kept[1], more))


def test_a_row_that_is_labelled_does_not_wait_again(tmp_path):
    """A row that has its label is not asked for a second time, though it is among those named."""
    put(tmp_path, b'{"id": "a", "input": "p", "expected_label": "no"}')
    assert sheet(tmp_path, [("a", "p")]) == 0
    assert lines(tmp_path) == [b'{"id": "a", "input": "p", "expected_label": "no"}']


def test_a_second_call_may_keep_what_waits(tmp_path):
    """With keep_waiting the rows of an earlier call stay; without it they go."""
    sheet(tmp_path, [("a", "p")])
    assert sheet(tmp_path, [("b", "q")], keep_waiting=True) == 2
    assert ids(tmp_path) == ["a", "b"]
    assert json.loads(lines(tmp_path)[0])["input"] == "p"
    assert sheet(tmp_path, [("b", "q")]) == 1
    assert ids(tmp_path) == ["b"]


def test_writing_twice_changes_nothing(tmp_path):
    """The same call again leaves both files as they are."""
    rows = [(f"row-{at}", text) for at, text in enumerate(HOSTILE)]
    sheet(tmp_path, rows)
    before = lines(tmp_path), form(tmp_path)
    sheet(tmp_path, rows[::-1])
    assert (lines(tmp_path), form(tmp_path)) == before


def test_no_row_makes_no_sheet(tmp_path):
    """Where nothing needs a label no sheet appears beside the data, and the page says so."""
    assert sheet(tmp_path, []) == 0
    assert not (tmp_path / "heldout.labels.jsonl").exists()
    assert "No row waits for a label." in form(tmp_path)


def test_nothing_but_the_sheet_is_left_beside_the_data(tmp_path):
    """No lock and no half-written file lies beside the held-out rows."""
    sheet(tmp_path, [("a", "p")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heldout.labels.jsonl", "out"]


@pytest.mark.parametrize(
    "damage",
    [b"{", b"[]", b"\xff", b'{"id": "b", "expected_label": "maybe"}', b'{"id": "b", "expected_label": 3}', b'{"id": 3, "expected_label": null}',
     b'{"id": "b"}', b'{"expected_label": null}', b'{"id": "b", "input": 3, "expected_label": null}', b'{"id": "a", "expected_label": null}',
     b'{"id": "b", "expected_label": null, "teacher": "yes"}'],
)  # fmt: skip
def test_a_damaged_sheet_is_left_alone(tmp_path, damage):
    """A sheet that is not one is an error that names the line; neither it nor the page is written."""
    put(tmp_path, b'{"id": "a", "expected_label": "no"}', damage)
    before = (tmp_path / "heldout.labels.jsonl").read_bytes()
    with pytest.raises(DistillError, match=r"heldout\.labels\.jsonl:2: ?"):
        sheet(tmp_path, [("c", "p")])
    assert (tmp_path / "heldout.labels.jsonl").read_bytes() == before
    assert not (tmp_path / "out" / "label-t.html").exists()


def test_writers_at_once_lose_no_row(tmp_path):
    """Four processes that add ten rows each to one sheet leave all forty in it."""
    code = (
        "import sys; from pathlib import Path; from pytest_distill.report.label import write_sheet\n"
        "folder = Path(sys.argv[1])\n"
        "for at in range(10): write_sheet(folder / 'heldout.labels.jsonl', folder / 'out' / 'label-t.html', 't', 'expected_label',"
        " None, [(f'{sys.argv[2]}-{at}', 'p')], keep_waiting=True)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    assert sorted(ids(tmp_path)) == sorted(f"{number}-{at}" for number in range(4) for at in range(10))


# The page


def test_neither_file_says_what_a_model_said(tmp_path):
    """The sheet has id, prompt and label alone, and the page names both models alike."""
    sheet(tmp_path, [("a", "p")])
    assert [sorted(json.loads(line)) for line in lines(tmp_path)] == [["expected_label", "id", "input"]]
    words = "".join(text for tag, text in Parsed(form(tmp_path)).texts if tag not in {"style", "script"}).casefold()
    assert "teacher" not in words
    assert "student" not in words


@pytest.mark.parametrize("labels", [LABELS, None])
def test_hostile_texts_add_no_element(tmp_path, labels):
    """Whatever ids, prompts and labels hold, the page has the elements that plain ones give, and one script."""
    plain, hostile = tmp_path / "plain", tmp_path / "hostile"
    sheet(plain, [(f"row-{at}", "p") for at in range(len(HOSTILE))], labels)
    sheet(hostile, [(f"{text}{at}", text) for at, text in enumerate(HOSTILE)], labels and ("</script><script>", "\" onclick='", "n"))
    seen, safe = Parsed(form(hostile)), Parsed(form(plain))
    assert [(tag, sorted(attributes)) for tag, attributes in seen.elements] == [
        (tag, sorted(attributes)) for tag, attributes in safe.elements
    ]
    assert form(hostile).count("<script") == form(plain).count("<script") == 1
    assert re.findall("[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b]", form(hostile)) == []


def test_the_whole_prompt_is_shown(tmp_path):
    """A prompt of many pages is not cut: nobody can label what is not there."""
    sheet(tmp_path, [("a", "word " * 2000 + "last")])
    assert "".join(text for tag, text in Parsed(form(tmp_path)).texts if tag == "pre").strip() == "word " * 2000 + "last"


def test_the_exact_row_travels_in_the_page(tmp_path):
    """What an attribute of each row holds is the row to the letter, line ends included."""
    sheet(tmp_path, [(f"row-{at}", text) for at, text in enumerate(HOSTILE)])
    carried = [json.loads(str(attributes["data-row"])) for attributes in Parsed(form(tmp_path)).all("fieldset")]
    assert carried == [json.loads(line) for line in lines(tmp_path)]


def test_labelled_rows_are_filled_in(tmp_path):
    """A row that is labelled stands in the page with its label chosen, and the count begins with it."""
    put(tmp_path, b'{"id": "a", "expected_label": "no"}', b'{"id": "b", "input": "p", "expected_label": "no idea"}')
    sheet(tmp_path, [("c", "p")])
    seen = Parsed(form(tmp_path))
    assert [(one["name"], one["value"]) for one in seen.all("input") if "checked" in one] == [("row-1", "1"), ("row-2", "2")]
    assert ("p", "2 of 3 labelled") in seen.texts
    assert "The sheet has no prompt for this row" in form(tmp_path)


def test_the_policy_allows_one_style_and_one_script(tmp_path):
    """The page's policy names the hashes of the style and the script that it carries, and nothing else."""
    sheet(tmp_path, [("a", "p")])
    parts = [re.search(rf"<{tag}>(.*?)</{tag}>", form(tmp_path), re.DOTALL) for tag in ("style", "script")]
    style, script = (base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode() for part in parts if part)
    policy = next(one["content"] for one in Parsed(form(tmp_path)).all("meta") if "http-equiv" in one)
    assert policy == f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    assert not re.search(r"(src|href|action)\s*=|https?:|url\(|@import", re.sub(r"link\.href = .*", "", form(tmp_path)))


@pytest.mark.parametrize("name", ["label.css", "label.js"])
def test_style_and_script_hold_nothing_for_the_template(name):
    """Both are included as they are: no template syntax and no end of their element."""
    text = (report.TEMPLATES / name).read_text(encoding="utf-8")
    assert re.findall(r"\{\{|\{%|\{#|</", text) == []


def test_without_script_the_way_by_hand_is_named(tmp_path):
    """The page says, where scripts are off, that saving needs them and which file can be edited instead."""
    sheet(tmp_path, [("a", "p")])
    note = re.search(r"<noscript>(.*?)</noscript>", form(tmp_path), re.DOTALL)
    assert note
    assert "JavaScript" in note[1]
    assert "heldout.labels.jsonl" in note[1]


# In a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the path")


def browse(folder: Path, page: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page in headless Chromium and return what it printed; its console is on stderr."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
    command = [str(CHROMIUM), *flags, *options, (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line or "Content Security Policy" in line] == []
    return done


def saved(folder: Path, deeds: str) -> tuple[str, bytes, str]:
    """Do `deeds` on the page, save, and return the download's name and content and the count; the page's own policy stays in force."""
    script = (
        "let blob; let name; URL.createObjectURL = (one) => { blob = one; return '#'; };\n"
        "HTMLAnchorElement.prototype.click = function () { name = this.download; };\n"
        "const press = (target, key) => target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));\n"
        "const row = (id) => rows.find((one) => JSON.parse(one.dataset.row).id === id);\n"
        "const type = (id, text) => { const at = row(id).querySelector('textarea'); at.value = text;\n"
        "  at.dispatchEvent(new Event('input', { bubbles: true })); };\n"
        f"{deeds}\n"
        "document.getElementById('save').click();\n"
        "const done = document.createElement('output'); document.body.append(done);\n"
        "blob.text().then((text) => { done.title = JSON.stringify([name, text, document.getElementById('progress').textContent]); });\n"
    )
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = form(folder).replace("script-src ", f"script-src 'sha256-{allowed}' ").replace("</body>", f"<script>{script}</script></body>")
    outputs = Parsed(browse(folder, page, "--virtual-time-budget=5000", "--dump-dom").stdout).all("output")
    name, text, count = json.loads(str(outputs[0]["title"]))
    return name, text.encode(), count


def filled(folder: Path, labels: dict[str, str | None]) -> bytes:
    """The sheet with `labels` filled in, as canonical lines."""
    rows = [json.loads(line) for line in lines(folder)]
    return b"".join(canonical_json({**row, "expected_label": labels.get(row["id"], row["expected_label"])}) + b"\n" for row in rows)


@in_browser
def test_a_browser_runs_the_page_without_complaint(tmp_path):
    """Chromium loads the page with hostile prompts as it is: no script but its own, no violation, nothing on the console."""
    sheet(tmp_path, [(f"{at}{text}", text) for at, text in enumerate(HOSTILE)])
    seen = Parsed(browse(tmp_path, form(tmp_path), "--dump-dom").stdout)
    assert len(seen.all("script")) == 1
    assert not {"img", "b"} & {tag for tag, _ in seen.elements}
    assert ("p", f"0 of {len(HOSTILE)} labelled") in seen.texts


@in_browser
def test_what_is_chosen_is_what_is_saved_and_read(tmp_path):
    """Clicks and keys choose labels, saving gives the sheet with exactly these, and the task reads them as references."""
    texts = {f"row-{at}": text for at, text in enumerate(HOSTILE) if "\ud800" not in text} | {"changed": "c", "open": "o"}
    held = b"".join(json.dumps({"id": name, "question": text}).encode() + b"\n" for name, text in texts.items())
    (tmp_path / "heldout.jsonl").write_bytes(held)
    task = Task("t", "Q: {{ question }}\r\n", Labels(*LABELS), tmp_path / "train.jsonl", tmp_path / "heldout.jsonl", 4)
    prompts = [(example.id, task.render(example)) for example in task.heldout_examples]
    by_hand = {"id": "changed", "input": dict(prompts)["changed"], "expected_label": "yes"}
    put(tmp_path, json.dumps(by_hand).encode())
    sheet(tmp_path, prompts)
    second, third = ids(tmp_path)[1:3]
    deeds = (
        "row('changed').querySelectorAll('input')[2].click();\n"
        "press(document.body, '1');\n"  # no row in hand: the first that waits
        "press(document.activeElement, '9'); press(document.activeElement, '4');\n"  # there are three labels
        "press(document.activeElement, '3'); press(document.activeElement, '3'); press(document.activeElement, '0');\n"
        f"press(row('{second}').querySelector('input'), '2'); press(document.activeElement, '1');\n"  # back, and on to the third again
    )
    fourth, fifth = ids(tmp_path)[3:5]
    name, content, count = saved(tmp_path, deeds)
    wanted = {"changed": "no idea", second: "no", third: "yes", fourth: "no idea", fifth: None}
    assert (name, count) == ("heldout.labels.jsonl", f"4 of {len(prompts)} labelled")
    assert content == filled(tmp_path, wanted)
    task.labels_path.write_bytes(content)
    again = Task("t", task.prompt, task.answer, task.train, task.heldout, 4)
    assert {one.id: one.expected for one in again.heldout_examples} == {one: wanted.get(one) for one in texts}
    assert sheet(tmp_path, [row for row in prompts if wanted.get(row[0]) is None]) == len(prompts) - 4
    assert (tmp_path / "heldout.labels.jsonl").read_bytes() == content


@in_browser
def test_text_that_was_not_touched_is_saved_to_the_letter(tmp_path):
    """Where any text may be a label it is typed in; what was there with CRLF stays so, digits are text, and blanks leave a row open."""
    old = {"id": "old", "input": "p\r\n", "expected_label": "\nfirst\r\nsecond\u2028 <b>"}
    put(tmp_path, canonical_json(old), canonical_json({"id": "gone", "input": "p", "expected_label": "x"}))
    sheet(tmp_path, [("a", "p"), ("b", "p"), ("c", "p")], None)
    deeds = (
        "type('a', ' 7 \"é\"\\n'); type('b', ' \\n'); type('gone', '');\n"
        "row('c').querySelector('textarea').focus(); press(document.activeElement, '1');\n"
    )
    name, content, count = saved(tmp_path, deeds)
    assert (name, count) == ("heldout.labels.jsonl", "2 of 5 labelled")
    assert content == filled(tmp_path, {"a": ' 7 "é"\n', "b": None, "gone": None})
