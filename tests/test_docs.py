"""The pages under docs/: figures that are what their script makes, links that lead somewhere, names that exist."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from dataclasses import fields
from importlib import import_module
from statistics import fmean

import pytest

from pytest_distill import measures
from pytest_distill.compare import Comparison
from tests.fakes import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def script(name):
    """A script of docs/, loaded as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def figures():
    return script("figures")


@pytest.fixture(scope="module")
def tables(figures):
    return figures.tables()


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_the_tables_are_what_the_script_makes(figures, tables):
    """Every table and message in verdict.md is what docs/figures.py makes; if this fails, run it."""
    page = figures.PAGE.read_text(encoding="utf-8")
    assert page == figures.fill(page, tables)


def test_the_pictures_are_what_the_script_makes(figures):
    """Every picture is what docs/figures.py makes, and has a title and a description; if this fails, run it."""
    for name, made in (("pass.svg", figures.pass_picture()), ("outcomes.svg", figures.outcomes_picture())):
        assert (DOCS / name).read_text(encoding="utf-8") == made
        assert "<title>" in made
        assert "<desc>" in made
        assert "<script" not in made


def test_a_changed_table_is_noticed(figures, tables):
    """A figure that somebody edits by hand, and a table that only the page or only the script knows, do not stay."""
    page = figures.PAGE.read_text(encoding="utf-8")
    assert figures.fill(page.replace("| 59 |", "| 58 |"), tables) == page
    with pytest.raises(ValueError, match="lost"):
        figures.fill(page, {**tables, "lost": ""})
    with pytest.raises(ValueError, match="gate"):
        figures.fill(page.replace("<!-- table: gate -->", ""), tables)


def test_check_says_what_would_change(figures, tables, tmp_path, monkeypatch, capsys):
    """With --check nothing is written and the exit status is 1 where a file would change, else 0; without it the file is written."""
    page = tmp_path / "verdict.md"
    page.write_text(figures.PAGE.read_text(encoding="utf-8").replace("| 59 |", "| 58 |"), encoding="utf-8")
    monkeypatch.setattr(figures, "PAGE", page)
    monkeypatch.setattr(figures, "HERE", tmp_path)
    monkeypatch.setattr(figures, "tables", lambda: tables)
    before = page.read_bytes()
    assert figures.main(["--check"]) == 1
    assert page.read_bytes() == before
    assert "verdict.md would change" in capsys.readouterr().out
    assert figures.main([]) == 0
    assert figures.main(["--check"]) == 0
    assert (tmp_path / "pass.svg").exists()


def test_the_plain_estimate_is_counted_without_rounding(figures):
    """A drop of exactly 5 of 100 meets a limit of 5 %, which floating point would deny: the chance includes it."""
    exact = sum(
        figures.binomial_pmf(c, 20, 0.01) * figures.binomial_pmf(b, 20 - c, 0.06 / 0.99)
        for c in range(21)
        for b in range(21 - c)
        if 20 * (b - c) <= 20
    )
    assert figures.point_chance(20, 0.05) == pytest.approx(exact, abs=1e-12)


def test_what_the_page_says_in_words_is_what_the_tables_say(figures):
    """The chances that verdict.md quotes in its text are those of the enumeration."""
    assert 0.29 < figures.point_chance(46, 0.08) < 0.31
    assert all(0.47 < 2 * p * (1 - p) < 0.505 for p in (figures.point_chance(n, 0.05) for n in figures.SIZES))
    assert all(figures.gate_chances(n, 0.08)[0] < 0.01 for n in figures.SIZES)
    assert 0.84 < 1 - figures.gate_chances(46, 0.08)[1] < 0.855
    assert 0.22 < figures.gate_chances(46, 0.0)[0] < 0.25
    assert 0.45 < figures.gate_chances(200, 0.0, 0.02)[0] < 0.55
    assert 0.9 < figures.gate_chances(500, 0.02)[0] < 0.92
    assert all(1 - (1 - figures.gate_chances(n, 0.05)[1]) ** 10 > 1 / 3 for n in (200, 500, 1000))
    assert round(figures.cost_bill().break_even) == 321_147


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page):
    """Every relative link of a page leads to a file of the repository, and to a heading of it where it names one."""
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_pages_call_a_comparison_has(page):
    """Every `comparison.something` of a page is an attribute of Comparison, and every name imported from the package is there."""
    text = page.read_text(encoding="utf-8")
    known = {*dir(Comparison), *(field.name for field in fields(Comparison))}
    assert set(re.findall(r"\bcomparison\.(\w+)", text)) - known == set()
    for module, names in re.findall(r"^from (pytest_distill[\w.]*) import (.+)$", text, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(import_module(module), name)


def test_simulated_scores_have_the_drop_that_is_claimed():
    """Each kind of scores has the true drop that it is asked for, and so has macro-F1."""
    simulation = script("simulate_gaffke")
    for name, draw, _ in simulation.SHAPES:
        retained = name.startswith("retained")
        teacher, student = draw(random.Random(1), 0.05, 40_000)
        drops = [(0.95 if retained else 1) * t - s for t, s in zip(teacher, student, strict=True)]
        assert fmean(drops) == pytest.approx(0.0 if retained else 0.05, abs=0.004)
        assert all(0 <= score <= 1 for score in (*teacher, *student))
    shares = simulation.f1_shape(simulation.lost_for(0.05))
    assert sum(shares.values()) == pytest.approx(1)
    assert simulation.stats.f1_drop(tuple(shares.items())) == pytest.approx(0.05)


@pytest.mark.parametrize("name", ["simulate_gaffke", "simulate_audit"])
def test_the_simulations_print_the_quoted_table(name, monkeypatch, capsys):
    """Each script still runs and prints lines of the form, and under the head, that simulations.md quotes."""
    simulation = script(name)
    monkeypatch.setattr(simulation, "EVALS", 3)
    for sizes in ("SIZES", "F1_SIZES"):
        monkeypatch.setattr(simulation, sizes, (100,), raising=False)
    simulation.main()
    head = capsys.readouterr().out.splitlines()[1]
    assert head in (DOCS / "simulations.md").read_text(encoding="utf-8")


def test_the_table_of_measures_names_each_with_its_method():
    """verdict.md lists every measure, and beside each the method that results.json names."""
    methods = {kind.key: kind.method for kind in vars(measures).values() if isinstance(kind, type) and hasattr(kind, "method")}
    rows = re.findall(r"^\| `comparison\.(\w+)[^`]*` \|(.*)$", (DOCS / "verdict.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} == set(methods)
    assert [name for name, row in rows if f"`{methods[name]}`" not in row] == []
