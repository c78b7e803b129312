# Beam Storyteller: `make help` lists the targets. PYTHON=python3.11 chooses the interpreter, VENV=DIR the environment.
# The versions of the lock files are installed; LOCKED=no takes what is newest within setup.py's ranges.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
LOCKED ?= yes
DEV := test check train evaluate services docs
POCKET ?= packs/pocket-new
FAST := not slow and not runners and not services and not gpu
SLOW := (slow or runners or services) and not gpu

UV := $(BIN)/python -m uv pip
COMPILE := $(UV) compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' $(UPGRADE) setup.py
ifeq ($(LOCKED),yes)
VERSIONS := --require-hashes --requirements requirements.lock
VERSIONS_DEV := --require-hashes --requirements requirements-dev.lock
else
VERSIONS := --requirements setup.py
VERSIONS_DEV := --requirements setup.py $(DEV:%=--extra %)
endif

install_uv = $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

# Nothing is fetched while the project runs: no weights from a hub, no probing of a bucket's kind.
export HF_HUB_OFFLINE := 1
export GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT := false

.PHONY: help install demo test test-slow check docs docs-site wheel lock pocket clean

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11 (up to 3.13) is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.py pyproject.toml requirements.lock | $(BIN)/python
	$(install_uv)
	$(UV) install --quiet $(VERSIONS)
	$(UV) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: setup.py pyproject.toml requirements-dev.lock | $(BIN)/python
	$(install_uv)
	$(UV) install --quiet $(VERSIONS_DEV)
	$(UV) install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed ## Makes .venv and installs the project into it, once

demo: $(VENV)/.installed ## Tells stories about the photos in samples/, on the screen and in demo-output/
	rm -rf demo-output
	$(BIN)/python -m pipelines.run --output demo-output
	@echo
	@$(BIN)/python -m pipelines.show demo-output

test: $(VENV)/.installed-dev ## Runs the fast tests, offline, in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m '$(FAST)'

test-slow: $(VENV)/.installed-dev ## Runs the other tests: slow ones, other runners, emulated services
	$(BIN)/python -m pytest -q -m '$(SLOW)'

check: $(VENV)/.installed-dev ## Runs ruff, mypy and the import rules
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_import_rules.py

docs: $(VENV)/.installed ## Writes the pages' table of options and the Flex Template's parameters from the schema
	$(BIN)/python docs/scripts/option_table.py
	$(BIN)/python deploy/flex_template/write_metadata.py

docs-site: $(VENV)/.installed-dev ## Builds the pages as a site in build/site; broken links and unknown names fail
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(VENV)/.installed ## Builds the sdist and the wheel, with the pocket pack and the sample photos, in dist/
	$(BIN)/python -m uv build --quiet

lock: | $(BIN)/python ## Fits the lock files to setup.py; UPGRADE=--upgrade takes the newest versions of everything
	$(install_uv)
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) $(DEV:%=--extra %) --constraints requirements.lock --output-file requirements-dev.lock

pocket: $(VENV)/.installed-dev ## Trains all networks of the pocket pack from the data in DATA=DIR, and packs them: hours; a second call goes on
	@test -d "$(DATA)" || { echo "make pocket DATA=DIR: name the folder of photos, captions and novels" >&2; exit 2; }
	$(BIN)/python -m pipelines.train pack --config configs/training/pocket.yaml --data "$(DATA)" --output "$(POCKET)"

clean: ## Removes the environment, build files, caches and the demo's output
	rm -rf $(VENV) demo-output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
