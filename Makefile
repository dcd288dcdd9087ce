PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Asked for together, or pip takes another torch than torchvision's, with gigabytes of CUDA.
TORCH := torch==2.13.0 torchvision==0.28.0

.PHONY: demo demo-images test chromium test-lowest test-schedules test-warehouses lint bench bench-peers test-peers bench-vision example clean

demo: $(VENV)/.core  ## Install the core into .venv and show real failure modes of a real classifier
	$(BIN)/prime-sql demo

demo-images: $(VENV)/.demo  ## The same from pixels: embed, tag and predict the pictures, then search
	$(BIN)/prime-sql demo --images

test: $(VENV)/.test chromium  ## Install what the tests need into .venv and run them all
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

chromium:  ## Install the browser in which the tests look at a report, where we may
	sh tests/chromium.sh

# The tests that between them use every package in each way that we do. The others, those of exact
# output (how wide rich draws a table is not ours to pin) and the longest ones are about our own SQL.
LOWEST := $(patsubst %,tests/test_%.py,absent cli compile demo explain gates history inputs job output \
	queries report run search snapshots sources validate) \
	$(patsubst %,tests/vision/test_%.py,captions classifiers commands images steps tag)

test-lowest: $(VENV)/lowest/.done  ## Tests with the lowest versions that pyproject.toml admits
	$(VENV)/lowest/bin/python -m pytest -n auto --dist loadfile -m "not thorough" -k "not sql_in_every_form" $(or $(ARGS),$(LOWEST))

test-schedules: $(VENV)/schedules/.done  ## Install dbt, Airflow and Dagster beside the core; run the scheduled examples
	DO_NOT_TRACK=1 $(VENV)/schedules/bin/python -m pytest -n auto --dist loadfile $(or $(ARGS),tests/schedules)

# Byte code would be written for every module of every package, and few are imported.
$(VENV)/schedules/.done: pyproject.toml tests/schedules/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/schedules
	$(VENV)/schedules/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r tests/schedules/requirements.txt -e .
	touch $@

test-warehouses: $(VENV)/warehouses/.done  ## Run on PostgreSQL, Spark, ClickHouse and DataFusion, installed beside the core
	sh tests/postgres.sh
	PRIME_SQL_ENGINES=all $(VENV)/warehouses/bin/python -m pytest -n 2 --dist loadgroup $(or $(ARGS),tests/warehouses)

$(VENV)/warehouses/.done: pyproject.toml tests/warehouses/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/warehouses
	$(VENV)/warehouses/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		-r tests/warehouses/requirements.txt -e '.[postgres,spark,clickhouse,datafusion]'
	touch $@

$(VENV)/lowest/.done: pyproject.toml tests/lowest.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/lowest
	$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check -c tests/lowest.txt $(TORCH) -e '.[captions,demo,test]'
	touch $@

lint: $(VENV)/.test  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test  ## Time the search on three generated data sets against a NumPy reference
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(VENV)/peers/.done  ## Time the search beside other tools that can find the same tag sets; draw the plots
	$(VENV)/peers/bin/python -m benchmarks.peers $(ARGS)

test-peers: $(VENV)/peers/.done  ## Whether each of these tools gives the oracle's answer
	$(VENV)/peers/bin/python -m pytest $(or $(ARGS),tests/test_peers.py)

$(VENV)/peers/.done: pyproject.toml benchmarks/peers.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r benchmarks/peers.txt -e '.[report]'
	touch $@

bench-vision: $(VENV)/.test  ## Images a second for decoding, a model alone, and end to end
	$(BIN)/python -m benchmarks.vision $(ARGS)

example: $(VENV)/.test  ## Build the emoji tables from their packages; compare with those here
	$(BIN)/python examples/emoji/build.py --check

queries/README.md: $(VENV)/.core $(shell find queries -name '*.sql')  ## List the SQL files from their headers
	$(BIN)/python -m prime_sql.queries > $@

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "prime_sql needs Python 3.11 or newer; make PYTHON=/path/to/python3.11"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH) -e '.[captions,demo,test]'
	touch $@ $(VENV)/.core $(VENV)/.demo

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH) -e '.[demo]'
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
