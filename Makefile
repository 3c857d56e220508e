# Two commands do everything: `make run` (the main job) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test lint fix scoreboard clean

run: $(READY)
	@$(BIN)/allyouneed run transformer --claims C1,C2,C3,C4

test: $(READY)
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/allyouneed scoreboard --check

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

scoreboard: $(READY)
	$(BIN)/allyouneed scoreboard $(foreach file,README.md $(wildcard src/allyouneed/papers/*/notes.md),--write $(file))

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making the environment in $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist runs
