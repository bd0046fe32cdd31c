# Two commands are enough: `make serve` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3
ACCELERATOR ?= $(if $(wildcard /proc/driver/nvidia/version),gpu,cpu)
PORT ?= 8000
SECONDS ?= 60
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: serve train test check coverage chaos fuzz format clean

serve: .venv/serve-$(ACCELERATOR)  ## start the service on http://localhost:8000 with the bundles in models/
	$(BIN)/roberta-serve --models models --port $(PORT)

train: .venv/train-$(ACCELERATOR)  ## what roberta-train needs, torch among it

test: .venv/test-$(ACCELERATOR)  ## every test, the lint and the types
	$(MAKE) check

check:  ## what CI runs, in an environment that is already there
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

coverage:  ## the tests, and the branch coverage of app; below the floor in pyproject.toml, if there is one, it fails
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

chaos:  ## every fault, under load, against the real command: one table; CHAOS="--seconds 3600 --only soak"
	$(BIN)/python -m tests.chaos $(CHAOS)

fuzz:  ## random bytes for every reader of what others wrote, SECONDS of each; HARNESSES="http-head" chooses
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(HARNESSES)

format: .venv/test-$(ACCELERATOR)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/serve-$(ACCELERATOR): .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[$(ACCELERATOR)]'
	touch $@

.venv/train-$(ACCELERATOR): .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[$(ACCELERATOR),train]'
	touch $@ .venv/serve-$(ACCELERATOR)

.venv/test-$(ACCELERATOR): .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[$(ACCELERATOR),train,dev]'
	touch $@ .venv/train-$(ACCELERATOR) .venv/serve-$(ACCELERATOR)

clean:
	rm -rf .venv build dist *.egg-info
