# `make bench` and `make test` do all the set-up. VENV=DIR reuses an environment, ARGS adds pytest options.
# `make models` fetches the paper's segmentation model; without a network the bundled one is measured instead.
# The tests run in two processes, file by file; ARGS="-n 0" runs them in one.
VENV ?= .venv
PYTHON ?= python3
ARGS ?=

PY := $(VENV)/bin/python
# of what is installed and of where from: another checkout that reuses the environment must not import this one
HASH := $(shell (cat pyproject.toml constraints.txt; pwd) | $(PYTHON) -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
STAMP := $(VENV)/.installed-$(HASH)

.PHONY: bench test fuzz check setup models clean

bench: setup models
	$(PY) -m pytest bench $(ARGS)

test: setup models
	$(PY) -m pytest tests -n 2 --dist loadfile --segmentation bundled --accuracy-budget 60 $(ARGS)

fuzz: setup # a few minutes; the tests' own examples are few
	$(PY) -m pytest tests -m fuzz --hypothesis-profile=fuzz $(ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

setup: $(STAMP)

models: setup
	@test -s "$${XDG_CACHE_HOME:-$$HOME/.cache}/diartbench/models/pyannote/segmentation/pytorch_model.bin" \
		|| $(PY) -m variants fetch pyannote/segmentation || true

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 12) else "make: Python %d.%d is not supported; name one from 3.10 to 3.12: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -e '.[test]' -c constraints.txt
	@rm -f $(VENV)/.installed-* && touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
