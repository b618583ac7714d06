# make distill: set everything up and run the main job. make test: set everything up and run the tests.
# make lint: lint, types and workflows. make wheel: build the wheel and check what would be published.
PYTHON ?= python3
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)

.PHONY: distill test lint wheel clean

distill: .venv/installed
	$(BIN)/pytest --distill

test: .venv/installed
	$(BIN)/pytest -n auto --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/mypy
	$(BIN)/python -m tests.github.workflows

wheel: .venv/installed
	$(BIN)/python tests/check_wheel.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .distill build
