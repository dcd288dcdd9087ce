PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Asked for together, or pip takes another torch than torchvision's, with gigabytes of CUDA.
TORCH := torch==2.13.0 torchvision==0.28.0
# Byte code would be written for every module of every package, for minutes, and few are imported. But
# those are, by hundreds of processes: each would compile them again, for seconds.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE
# A file's tests share what is made once for them. The files start in the order of tests/conftest.py.
PYTEST := -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo demo-images test chromium test-lowest test-schedules test-warehouses test-on-spark test-on-others lint bench bench-start bench-peers test-peers bench-vision example clean

demo: $(VENV)/.core  ## Install the core into .venv and show real failure modes of a real classifier
	$(BIN)/prime-sql demo

demo-images: $(VENV)/.demo  ## The same from pixels: embed, tag and predict the pictures, then search
	$(BIN)/prime-sql demo --images

test: $(VENV)/.test chromium  ## Install what the tests need into .venv and run them all
	$(BIN)/python $(PYTEST) $(ARGS)

chromium:  ## Install the browser in which the tests look at a report, where we may
	sh tests/chromium.sh

# The tests that between them use every package in each way that we do: whole files where much of them is
# about what others wrote, and single tests of files about our own SQL. Those of exact output (how wide
# rich draws a table, in which words sqlglot writes, is not ours to pin) and the longest ones are left out.
LOWEST := $(patsubst %,tests/test_%.py,cli compile gates inputs output queries report run search snapshots sources) \
	$(patsubst %,tests/vision/test_%.py,captions classifiers commands images tag) \
	$(addprefix tests/test_,compare.py::test_the_command_compares_runs_of_one_file_and_of_two \
	demo.py::test_its_next_commands_run_as_printed \
	explain.py::test_the_command_prints_the_parts_one_below_the_other \
	history.py::test_the_command_prints_a_line_for_each_mode \
	job.py::test_a_job_finds_what_a_search_finds \
	job.py::test_questions_and_sql_join_with_business_tables_by_name \
	job.py::test_the_comments_of_a_first_file_are_settings_that_fit \
	job.py::test_init_sees_a_wide_table \
	job.py::test_the_schema_and_the_reader_agree \
	job.py::test_a_traceback_has_no_values_either \
	validate.py::test_validate_prints_modes_and_a_summary) \
	$(addprefix tests/vision/test_steps.py::,test_any_call test_out_of_memory test_only_what_is_new test_two_threads_call_at_once)

test-lowest: $(VENV)/lowest/.done  ## Tests with the lowest versions that pyproject.toml admits
	$(VENV)/lowest/bin/python $(PYTEST) -m "not thorough" \
		-k "not sql_in_every_form and not made_of and not dbt_model and not databricks_gets" $(or $(ARGS),$(LOWEST))

test-schedules: $(VENV)/schedules/.done  ## Install dbt, Airflow and Dagster beside the core; run the scheduled examples
	DO_NOT_TRACK=1 $(VENV)/schedules/bin/python $(PYTEST) $(or $(ARGS),tests/schedules)

$(VENV)/schedules/.done: pyproject.toml tests/schedules/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/schedules
	$(VENV)/schedules/bin/python $(INSTALL) -r tests/schedules/requirements.txt -e .
	touch $@

test-warehouses: $(VENV)/warehouses/.done  ## Run on PostgreSQL, Spark, ClickHouse and DataFusion, installed beside the core
	$(MAKE) -j 2 --output-sync=target test-on-spark test-on-others

# In a process each: Spark starts once, and goes its own pace.
test-on-spark test-on-others: test-on-%: $(VENV)/warehouses/.done
	sh tests/postgres.sh
	PRIME_SQL_ENGINES=all $(VENV)/warehouses/bin/python -m pytest --durations=10 \
		-k $(if $(filter spark,$*),spark,"not spark") $(or $(ARGS),tests/warehouses)

$(VENV)/warehouses/.done: pyproject.toml tests/warehouses/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/warehouses
	$(VENV)/warehouses/bin/python $(INSTALL) $(TORCH) \
		-r tests/warehouses/requirements.txt -e '.[demo,postgres,spark,clickhouse,datafusion]'
	touch $@

$(VENV)/lowest/.done: pyproject.toml tests/lowest.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/lowest
	$(VENV)/lowest/bin/python $(INSTALL) -c tests/lowest.txt $(TORCH) -e '.[captions,demo,test]'
	touch $@

lint: $(VENV)/.test  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test  ## Time the search on three generated data sets against a NumPy reference
	$(BIN)/python -m benchmarks $(ARGS)

bench-start: $(VENV)/.test  ## What it costs to start: --version, --help, an import, a search of 200 images
	$(BIN)/python -m benchmarks.start $(ARGS)

bench-peers: $(VENV)/peers/.done  ## Time the search beside other tools that can find the same tag sets; draw the plots
	$(VENV)/peers/bin/python -m benchmarks.peers $(ARGS)

test-peers: $(VENV)/peers/.done  ## Whether each of these tools gives the oracle's answer
	$(VENV)/peers/bin/python -m pytest $(or $(ARGS),tests/test_peers.py)

$(VENV)/peers/.done: pyproject.toml benchmarks/peers.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python $(INSTALL) -r benchmarks/peers.txt -e '.[report]'
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
	$(BIN)/python $(INSTALL) -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(INSTALL) $(TORCH) -e '.[captions,demo,test]'
	touch $@ $(VENV)/.core $(VENV)/.demo

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python $(INSTALL) $(TORCH) -e '.[demo]'
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
