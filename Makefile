# Everything a person does here: make demo, make test, make check, make docs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[plot]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/majl separate examples/song.ogg --out stems/
	$(BIN)/majl pitch examples/song.ogg --csv --plot --out stems/song
	@echo
	@echo "The stems and the melody of examples/song.ogg:"
	@ls -1 stems/song/*

# A browser for the tests that look at pages; they are skipped where there is none, and none can be installed.
$(VENV)/.chromium: | $(VENV)/.installed-dev
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -z "$$CHROMIUM" ] \
	  && ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; \
	then (apt-get update && apt-get install -y --no-install-recommends chromium) >/dev/null 2>&1 \
	  || echo "no Chromium could be installed: tests that need one are skipped"; fi
	@touch $@

test: $(VENV)/.installed-dev $(VENV)/.chromium
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/test_docs.py

clean:
	rm -rf $(VENV) stems build dist
