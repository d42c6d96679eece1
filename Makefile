# Two commands, each enough on a fresh Debian or Ubuntu with python3 (3.11+), make and a C compiler.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check clean

run: .venv/.core
	$(BIN)/cmis-emu demo

test: .venv/.test
	tools/debian-packages
	$(BIN)/python -m pytest -n auto

check: .venv/.test
	tools/debian-packages
	$(BIN)/python tools/check.py

# The stamp names what is installed; a newer pyproject.toml installs anew.
.venv/.core: pyproject.toml | .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.test: pyproject.toml | .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch .venv/.core $@

.venv:
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info
