"""Recordings: what is appended comes back, a crash costs one line at most, and damage never goes unseen."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_distill.errors import RecordingError
from pytest_distill.files import canonical_json
from pytest_distill.recording import FAILED, Recording, Reply, prompt_digest, reply_key

REPLY = Reply("k0", "row-0", "big", "yes", "answered", 12, 1, "2026-11-22T10:00:00Z")
FULL = Reply(
    "k1", "row-1", "big", "no", "cut", 12, 3, "2026-11-22T10:00:00Z", sample=2, detail="the reply reached the token limit", answered_by="big-2026",
    parameters={"temperature": 0, "stop": ["\n"]}, prompt="0123456789abcdef", tokens_cached=8, cost=0.000125, seconds=0.5, first_token=0.25, alone=True,
    origin="https://host/v1", retires="2027-01-14", terms="no training", logprobs=[["no", -0.1, [["no", -0.1], ["yes", None]]]],
)  # fmt: skip


def replies(n: int, start: int = 0) -> list[Reply]:
    return [replace(REPLY, key=f"k{k}", id=f"row-{k}", text=f"text {k} é") for k in range(start, start + n)]


def write(path, found: list[Reply]) -> Recording:
    recording = Recording(path)
    with recording.writing():
        recording.append(found)
    return recording


def test_replies_come_back_by_key(tmp_path):
    """A recording that is opened again holds the very replies, and none under another key."""
    written = write(tmp_path / "deep" / "r.jsonl", replies(3))
    read = Recording(written.path)
    assert [read.get(f"k{k}") for k in range(3)] == [written.get(f"k{k}") for k in range(3)] == replies(3)
    assert (len(read), read.get("k3")) == (3, None)


def test_a_missing_file_is_an_empty_recording(tmp_path):
    """Reading a recording that is not there finds nothing and makes no file."""
    assert len(Recording(tmp_path / "r.jsonl")) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_last_reply_of_a_key_counts(tmp_path):
    """Where a key was recorded twice, the later reply is replayed and both lines stay in the file."""
    path = tmp_path / "r.jsonl"
    write(path, [REPLY, replace(REPLY, text="later")])
    assert Recording(path).get("k0").text == "later"
    assert path.read_bytes().count(b"\n") == 2


def test_lines_are_ascii_json_with_a_digest(tmp_path):
    """A line is one ASCII JSON object with all fields and a 16-digit digest; its form is pinned so that recordings stay valid."""
    write(tmp_path / "r.jsonl", [replace(REPLY, text="é\n")])
    data = (tmp_path / "r.jsonl").read_bytes()
    assert data.isascii()
    assert json.loads(data) == {
        "at": "2026-11-22T10:00:00Z", "id": "row-0", "key": "k0", "model": "big", "outcome": "answered", "sha": "f099220becb53a68",
        "text": "é\n", "tokens_in": 12, "tokens_out": 1,
    }  # fmt: skip


def test_a_line_holds_only_what_there_is_to_say(tmp_path):
    """Fields at their default take no room, the others stand in the line; its form is pinned so that recordings stay valid."""
    write(tmp_path / "r.jsonl", [FULL])
    row = json.loads((tmp_path / "r.jsonl").read_bytes())
    assert row.pop("sha") == "367ac379bc9407ce"
    assert row == {each.name: getattr(FULL, each.name) for each in fields(Reply) if each.name != "counted"}
    assert Recording(tmp_path / "r.jsonl").get("k1") == FULL


def test_a_line_of_before_is_still_read(tmp_path):
    """A line that was written before replies had further fields is the reply it was, and is written the same today."""
    line = (
        rb'{"at":"2026-11-22T10:00:00Z","id":"row-0","key":"k0","model":"big","outcome":"answered","sha":"f099220becb53a68","text":"\u00e9\n",'
        rb'"tokens_in":12,"tokens_out":1}' + b"\n"
    )
    (tmp_path / "old.jsonl").write_bytes(line)
    assert Recording(tmp_path / "old.jsonl").get("k0") == replace(REPLY, text="é\n")
    write(tmp_path / "new.jsonl", [replace(REPLY, text="é\n")])
    assert (tmp_path / "new.jsonl").read_bytes() == line


def signed(row: dict) -> bytes:
    """A line with a digest of its own, whatever it holds."""
    return canonical_json({**row, "sha": hashlib.sha256(canonical_json(row)).hexdigest()[:16]}) + b"\n"


PLAIN = {
    "at": "2026-11-22T10:00:00Z",
    "id": "row-0",
    "key": "k0",
    "model": "big",
    "outcome": "answered",
    "text": "yes",
    "tokens_in": 12,
    "tokens_out": 1,
}


@pytest.mark.parametrize(
    "change",
    [{"added": 1}, {"tokens_in": True}, {"tokens_out": 1.0}, {"tokens_in": None}, {"text": 5}, {"answered_by": None}, {"key": ["k"]},
     *({name: ...} for name in PLAIN)],
)  # fmt: skip
def test_a_line_of_another_form_is_damage_though_signed(tmp_path, change):
    """A field that is unknown, missing or of another kind is not made up: the line counts as damaged, its digest notwithstanding."""
    path = tmp_path / "r.jsonl"
    path.write_bytes(signed(PLAIN) + signed(PLAIN))
    assert Recording(path).get("k0") == REPLY
    path.write_bytes(signed({name: value for name, value in {**PLAIN, **change}.items() if value is not ...}) + signed(PLAIN))
    with pytest.raises(RecordingError, match=r"r\.jsonl:1: the line is damaged"):
        Recording(path)


ANY = st.text(st.characters() | st.sampled_from("\ud800\udfff\ud83d\ude00\n\r\x00\u2028"))


@given(ANY, ANY)
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back(tmp_path_factory, text, name):
    """Any text round-trips, lone surrogates and line breaks included (two halves of a pair come back as their character)."""
    path = tmp_path_factory.mktemp("text") / "r.jsonl"
    write(path, [replace(REPLY, text=text, id=name), replace(REPLY, key="k1")])
    joined = [value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for value in (text, name)]
    assert Recording(path).get("k0") == replace(REPLY, text=joined[0], id=joined[1])
    assert len(Recording(path)) == 2


FLOAT = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOAT | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
REPLIES = st.builds(
    Reply, key=st.just("k0"), id=st.text(max_size=5), model=st.text(max_size=5), text=st.text(max_size=5), outcome=st.sampled_from(["cut", FAILED]),
    tokens_in=st.integers(0), tokens_out=st.integers(0), at=st.just(REPLY.at), sample=st.integers(0, 99), detail=st.text(max_size=5),
    answered_by=st.text(max_size=5), parameters=st.dictionaries(st.text(max_size=5), JSON, max_size=3), prompt=st.text(max_size=5),
    tokens_cached=st.integers(0), cost=st.none() | FLOAT, seconds=st.none() | FLOAT, first_token=st.none() | FLOAT, alone=st.booleans(),
    origin=st.text(max_size=5), retires=st.text(max_size=5), terms=st.text(max_size=5), logprobs=st.none() | st.lists(JSON, max_size=3),
)  # fmt: skip


@given(REPLIES)
@settings(max_examples=100, deadline=None)
def test_any_reply_comes_back(tmp_path_factory, reply):
    """Whatever a reply's fields hold, the same comes back, also where a text looks like the digest of a line."""
    path = tmp_path_factory.mktemp("reply") / "r.jsonl"
    write(path, [reply, replace(reply, key="k1", text=',"sha":"0123456789abcdef"', terms='","sha":"0123456789abcdef')])
    read = Recording(path)
    assert read.get("k0") == reply
    assert (read.get("k1").text, read.get("k1").terms) == (',"sha":"0123456789abcdef"', '","sha":"0123456789abcdef')


@pytest.mark.parametrize("cut", [2, 3, 60])
def test_a_torn_last_line_is_set_aside(tmp_path, cut):
    """A last line that a crash cut short is passed over by a reader; the next to write moves it to .quarantine and goes on from there."""
    path = tmp_path / "r.jsonl"
    write(path, replies(3))
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    recording, aside = Recording(path), tmp_path / "r.jsonl.quarantine"
    recording.read()
    assert (len(recording), path.read_bytes(), aside.exists()) == (2, data[:-cut], False)
    lines = data.splitlines(keepends=True)
    with recording.writing():
        assert (len(recording), path.read_bytes()) == (2, lines[0] + lines[1])
        assert aside.read_bytes() == lines[2][:-cut] + b"\n"
        recording.append(replies(1, start=2))
    assert path.read_bytes() == data
    assert [Recording(path).get(f"k{k}") for k in range(3)] == replies(3)


def test_a_last_line_without_its_end_is_whole(tmp_path):
    """Where only the last line end is gone the reply is there, for a reader that leaves the file as it is; the next to write adds the end."""
    path = tmp_path / "r.jsonl"
    write(path, replies(2))
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    reader = Recording(path)
    reader.read()
    assert [reader.get(f"k{k}") for k in range(2)] == replies(2)
    assert path.read_bytes() == data[:-1]
    with reader.writing():
        assert path.read_bytes() == data
        reader.append(replies(1, start=2))
    assert path.read_bytes().startswith(data)
    assert [reader.get(f"k{k}") for k in range(3)] == [Recording(path).get(f"k{k}") for k in range(3)] == replies(3)
    assert not path.with_name("r.jsonl.quarantine").exists()


@pytest.mark.parametrize("again", [True, False])
def test_a_recording_that_is_replaced_while_it_is_written_is_an_error(tmp_path, again):
    """A file that is unlinked, and written anew or not, while a process appends to it does not swallow what is appended."""
    path = tmp_path / "r.jsonl"
    write(path, replies(1))
    data, recording = path.read_bytes(), Recording(path)
    with recording.writing():
        recording.append(replies(1, start=1))
        path.unlink()
        if again:
            path.write_bytes(data)
        recording.write(replies(1, start=2)[0])
        with pytest.raises(
            RecordingError, match=r"r\.jsonl was replaced while it was being written; .*run again: what it lacks is asked for"
        ):
            recording.sync()


def test_a_file_that_is_replaced_before_the_first_write_is_taken_as_it_is(tmp_path):
    """Another file that lies there by the time of the first write is read and appended to."""
    path = tmp_path / "r.jsonl"
    recording = write(path, replies(1))
    with recording.writing():
        path.unlink()
        write(tmp_path / "other", replies(3, start=1))
        (tmp_path / "other").rename(path)
        recording.append(replies(1, start=4))
    assert [recording.get(f"k{k}") for k in range(5)] == [None, *replies(4, start=1)]


def test_a_line_in_mid_write_is_left_to_its_writer(tmp_path):
    """Reading while another process writes a line takes nothing from it; once the line is whole it is read."""
    path = tmp_path / "r.jsonl"
    write(path, replies(3))
    data = path.read_bytes()
    path.write_bytes(data[:-40])
    reader = Recording(path)
    assert (len(reader), [found.name for found in tmp_path.iterdir() if "quarantine" in found.name]) == (2, [])
    with path.open("ab") as file:
        file.write(data[-40:])
    reader.read()
    assert [reader.get(f"k{k}") for k in range(3)] == replies(3)


def test_a_damaged_last_line_is_set_aside_too(tmp_path):
    """A last line that ends properly but does not match its digest is no reply, and the next to write sets it aside as well."""
    path = tmp_path / "r.jsonl"
    write(path, replies(2))
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[1].replace(b"text 1", b"text 9")
    path.write_bytes(lines[0] + damaged)
    recording, aside = Recording(path), tmp_path / "r.jsonl.quarantine"
    assert (len(recording), path.read_bytes(), aside.exists()) == (1, lines[0] + damaged, False)
    with recording.writing():
        assert (len(recording), path.read_bytes()) == (1, lines[0])
    assert aside.read_bytes().startswith(damaged)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_never_replayed(tmp_path_factory, data):
    """Whichever bit of an earlier line flips, reading raises RecordingError with path:line, unless the line still says the same."""
    path = tmp_path_factory.mktemp("flip") / "r.jsonl"
    write(path, replies(3))
    content = bytearray(path.read_bytes())
    first = content.index(b"\n")
    second = content.index(b"\n", first + 1)
    at = data.draw(st.integers(0, second - 1).filter(lambda at: at != first))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        read = Recording(path)
    except RecordingError as error:
        assert f"{path}:{1 if at < first else 2}: the line is damaged" in str(error)
    else:
        assert [read.get(f"k{k}") for k in range(3)] == replies(3)
    assert path.read_bytes() == bytes(content)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"sha": "x", "key": NaN}', b'{"key": "k9"}', b"\xff"])
def test_a_foreign_line_is_damage(tmp_path, line):
    """A blank line, other JSON and no JSON at all in the middle of a recording are named with their line."""
    path = tmp_path / "r.jsonl"
    write(path, replies(2))
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], line, lines[1], b""]))
    with pytest.raises(RecordingError) as caught:
        Recording(path)
    assert f"{path}:2: the line is damaged" in str(caught.value)
    assert "delete that line" in str(caught.value)


APPEND = """
import sys
from pathlib import Path
from pytest_distill.recording import Recording
from tests.test_recording import replies
recording = Recording(Path(sys.argv[1]))
for k in range(int(sys.argv[2]), 100, 2):
    with recording.writing():
        recording.append(replies(1, start=k))
"""


def test_two_processes_append_to_one_recording(tmp_path):
    """Two processes that write in turn lose and tear nothing, and each sees on entry what the other wrote."""
    path = tmp_path / "r.jsonl"
    children = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), str(start)]) for start in (0, 1)]
    assert [child.wait(60) for child in children] == [0, 0]
    early = Recording(path)
    assert sorted(path.read_bytes().splitlines()) == sorted(set(path.read_bytes().splitlines()))
    assert [early.get(f"k{k}") for k in range(100)] == replies(100)
    write(path, replies(1, start=100))
    assert early.get("k100") is None
    with early.writing():
        assert early.get("k100") is not None


# ---- What is held, and where


def test_a_failed_reply_is_there_and_not_held(tmp_path):
    """A reply that could not be had is recorded and replayed, but still to be asked for; the later reply of its key decides."""
    path = tmp_path / "r.jsonl"
    write(path, [REPLY, replace(REPLY, key="k1", outcome=FAILED), replace(REPLY, key="k2", outcome=FAILED), replace(REPLY, key="k3")])
    recording = write(path, [replace(REPLY, key="k2", text="later"), replace(REPLY, key="k3", outcome=FAILED)])
    for read in (recording, Recording(path)):
        assert [read.has(f"k{k}") for k in range(5)] == [True, True, True, True, False]
        assert [read.holds(f"k{k}") for k in range(5)] == [True, False, True, False, False]
        assert [reply.outcome for reply in read.replies([f"k{k}" for k in range(4)])] == ["answered", FAILED, "answered", FAILED]
        assert (len(read), read.get("k2").text) == (4, "later")


def test_replies_come_in_the_order_asked_or_of_the_file(tmp_path):
    """Several replies are served in the order of their keys, None where there is none; all of them in the order of the file."""
    recording = write(tmp_path / "r.jsonl", [*replies(3), replace(REPLY, key="k0", text="later")])
    assert [reply and reply.key for reply in recording.replies(["k2", "no", "k0", "k2"])] == ["k2", None, "k0", "k2"]
    assert [(reply.key, reply.text) for reply in recording.every()] == [("k1", "text 1 é"), ("k2", "text 2 é"), ("k0", "later")]
    empty = Recording(tmp_path / "none.jsonl")
    assert (list(empty.every()), list(empty.replies(["k0"]))) == ([], [None])


def test_what_is_written_is_there_at_once_and_durable_after_sync(tmp_path, monkeypatch):
    """Each line is one write, seen by others at once; only a sync makes the lines since the last one durable."""
    calls, real_write, real_sync = [], os.write, os.fsync
    path = tmp_path / "r.jsonl"
    recording = Recording(path)
    with recording.writing():
        recording.append(replies(1, start=4))  # the file is made, and its folder synced
        monkeypatch.setattr(os, "write", lambda handle, data: (calls.append("write"), real_write(handle, data))[1])
        monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("sync"), real_sync(handle))[1])
        for reply in replies(2):
            recording.write(reply)
        assert [Recording(path).get(f"k{k}") for k in range(2)] == [recording.get(f"k{k}") for k in range(2)] == replies(2)
        assert calls == ["write", "write"]
        recording.sync()
        recording.append(replies(2, start=2))
        assert calls == ["write", "write", "sync", "write", "write", "sync"]
    monkeypatch.undo()
    recording.sync()
    with pytest.raises(AssertionError, match="inside writing"):
        recording.write(REPLY)
    assert len(Recording(path)) == 5


def test_a_file_is_made_when_there_is_something_to_write(tmp_path):
    """Holding the right to write leaves no empty file behind."""
    path = tmp_path / "r.jsonl"
    write(path, [])
    assert not path.exists()
    write(path, replies(1))
    assert path.exists()


def test_trouble_with_the_file_names_it(tmp_path, monkeypatch):
    """What the file system refuses, before, while or after a line is written, is an error of the recording."""

    def broken(*_):
        raise OSError(5, "Input/output error")

    nowhere = Recording(tmp_path / "file" / "r.jsonl")
    nowhere.path.parent.write_text("")
    with pytest.raises(RecordingError, match=r"a reply could not be written: File exists\. Those before it are kept"), nowhere.writing():
        pass
    recording = Recording(tmp_path / "r.jsonl")
    for name, act in (("write", lambda: recording.write(REPLY)), ("fsync", recording.sync)):
        with recording.writing():
            recording.write(REPLY)
            monkeypatch.setattr(os, name, broken)
            with pytest.raises(RecordingError, match=r"r\.jsonl: a reply could not be written: Input/output error"):
                act()
            monkeypatch.undo()


@pytest.mark.parametrize("taken", [0, 1, 100])
def test_a_disk_that_takes_part_of_a_line_keeps_none_of_it(tmp_path, monkeypatch, taken):
    """Where a write falls short it is an error, and nothing of the line stays that a later one could be appended to."""
    path, real = tmp_path / "r.jsonl", os.write
    recording = write(path, replies(2))
    before = path.read_bytes()
    with recording.writing():
        monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:taken]))
        with pytest.raises(RecordingError, match="took only part of a line"):
            recording.write(replace(REPLY, key="k2"))
        monkeypatch.undo()
        assert path.read_bytes() == before
        recording.append(replies(1, start=3))
    assert [recording.has(f"k{k}") for k in range(4)] == [Recording(path).has(f"k{k}") for k in range(4)] == [True, True, False, True]


def test_a_reader_follows_a_file_that_grows(tmp_path):
    """What others append is served after the next read, from its place, and what was there before as well."""
    path = tmp_path / "r.jsonl"
    reader = Recording(path)
    for k in range(3):
        write(path, replies(1, start=k))
        assert reader.get(f"k{k}") is None
        reader.read()
        assert [reader.get(f"k{j}") for j in range(k + 1)] == replies(k + 1)


def test_a_file_that_is_replaced_is_read_anew(tmp_path):
    """Another file under the name, or a shorter one, is read from its start; before that its old places serve nothing wrong."""
    path = tmp_path / "r.jsonl"
    reader = write(path, replies(3))
    other = write(tmp_path / "other.jsonl", [replace(reply, text="a longer text than before") for reply in replies(4)])
    os.replace(other.path, path)
    with pytest.raises(RecordingError, match=r"r\.jsonl: the file changed while it was in use\. Run again\."):
        reader.get("k2")
    os.replace(write(tmp_path / "turned.jsonl", replies(3)[::-1]).path, path)
    with pytest.raises(RecordingError, match="the file changed while it was in use"):
        reader.get("k2")
    os.replace(write(tmp_path / "other.jsonl", [replace(reply, text="a longer text than before") for reply in replies(4)]).path, path)
    reader.read()
    assert (len(reader), reader.get("k2").text) == (4, "a longer text than before")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    reader.read()
    assert (len(reader), reader.has("k0"), reader.get("k1").text) == (1, False, "a longer text than before")


def test_a_line_is_verified_whenever_it_is_served(tmp_path):
    """A byte that flips after the file was opened is noticed by the reply that it belongs to, and by no other."""
    path = tmp_path / "r.jsonl"
    reader = write(path, replies(3))
    path.write_bytes(path.read_bytes().replace(b"text 1", b"text 9"))
    assert reader.get("k0") == replies(1)[0]
    with pytest.raises(RecordingError, match="changed while it was in use"):
        reader.get("k1")
    with pytest.raises(RecordingError, match=r"r\.jsonl:2: the line is damaged"):
        Recording(path)


def test_a_file_that_cannot_be_read_is_an_error_with_its_path(tmp_path):
    """A folder in place of the file, and a file that vanished, are errors of the recording."""
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(RecordingError, match=r"folder\.jsonl: the file cannot be read"):
        Recording(tmp_path / "folder.jsonl")
    reader = write(tmp_path / "r.jsonl", replies(1))
    reader.path.unlink()
    with pytest.raises(RecordingError, match=r"r\.jsonl: the file cannot be read any more"):
        reader.get("k0")


def test_only_keys_and_places_are_held_in_memory(tmp_path):
    """Writing and opening 20 MB of replies takes a small part of that in memory."""
    path, many = tmp_path / "r.jsonl", 1000
    tracemalloc.start()
    try:
        recording = Recording(path)
        with recording.writing():
            recording.append(replace(REPLY, key=f"k{k}", text="x" * 20_000) for k in range(many))
        read = Recording(path)
        assert all(reply.text for reply in read.every())
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert held < 1_000_000
    assert most < 3_000_000
    assert len(recording) == len(read) == many


def test_a_key_covers_all_that_was_asked():
    """Model, prompt and limit each change the key, which is pinned so that recordings stay valid."""
    key = reply_key("sha256:m", "prompt", 10)
    assert key == "63e4793b3cdde7a8336bafbdee5d523a"
    others = [
        reply_key("sha256:n", "prompt", 10),
        reply_key("sha256:m", "prompt ", 10),
        reply_key("sha256:m", "prompt", 11),
        *(reply_key("sha256:m", "prompt", 10, sample=sample) for sample in range(1, 4)),
        reply_key("sha256:m", "prompt", 10, schema="sha256:s"),
        reply_key("sha256:m", "prompt", 10, schema="sha256:s", sample=1),
    ]
    assert len({key, *others}) == 9
    assert reply_key("sha256:m", "prompt", 10, sample=0, schema="") == key


def test_the_digest_of_a_prompt_is_pinned():
    """A reply says of its prompt 16 hex digits, which are pinned so that recordings stay valid; half of a surrogate pair has one too."""
    assert prompt_digest("prompt") == hashlib.sha256(b'"prompt"').hexdigest()[:16]
    assert len({prompt_digest("prompt"), prompt_digest("prompt "), prompt_digest("\ud83d")}) == 3
