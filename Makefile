# The oldest Python that we admit. There is a torch for it without CUDA; with others gigabytes would come.
PYTHON ?= $(or $(shell sh tests/python.sh 3.11),python3)
# The newest one here, if any, with which the tests run that need no torch.
NEWEST := $(shell sh tests/python.sh 3.14 3.13 3.12)
VENV := .venv
BIN := $(VENV)/bin
# Asked for together, or pip takes another torch than torchvision's, with gigabytes of CUDA.
TORCH := torch==2.13.0 torchvision==0.28.0
# Byte code would be written for every module of every package, for minutes, and few are imported. But
# those are, by hundreds of processes: each would compile them again, for seconds.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE
# Each process gets half of the tests, in the order of their files, since those of a file share what is made
# once for them. One that has nothing left takes half of another's. .ci/run asks for reports in a folder.
REPORT = $(if $(JUNIT),--junitxml=$(JUNIT)/$@.xml)
PYTEST = -m pytest -n auto --dist worksteal $(REPORT)

.PHONY: demo demo-images test test-these test-core test-vision test-kills fuzz environments chromium postgres test-random test-lowest lowest-tests test-schedules test-warehouses test-on-spark test-on-others lint bench bench-start bench-wide bench-peers test-peers bench-vision example clean

demo: $(VENV)/.core  ## Install the core into .venv and show real failure modes of a real classifier
	$(BIN)/prime-sql demo

demo-images: $(VENV)/.demo  ## The same from pixels: embed, tag and predict the pictures, then search
	$(BIN)/prime-sql demo --images

# The tests that need a model, and those that need none.
MODELS := tests/vision tests/demo/emoji
NEW := $(VENV)$(if $(NEWEST),/newest)
CORE := tests $(addprefix --ignore=,$(MODELS) tests/warehouses tests/schedules)

test:  ## Run the tests with the newest packages, most of them with the newest Python; or those in ARGS
ifdef ARGS
	$(MAKE) test-these
else
	$(MAKE) test-core
	$(MAKE) test-vision
endif

test-these: $(VENV)/.test $(VENV)/duckdb/.done chromium
	$(BIN)/python $(PYTEST) $(ARGS)

test-core: $(NEW)/$(if $(NEWEST),.done,.test) $(NEW)/duckdb/.done chromium
	@$(if $(NEWEST),,echo "There is no Python newer than $(PYTHON) here: its tests run with that one")
	$(NEW)/bin/python $(PYTEST) $(CORE)

test-vision: $(VENV)/.test
	$(BIN)/python $(PYTEST) $(MODELS)

test-kills: $(VENV)/duckdb/.done  ## Kill hundreds of processes at their work, on each line of DuckDB; look at what they left
	for line in 1.4 1.5 2; do \
		PYTHONPATH=$(VENV)/duckdb/$$line $(BIN)/python -m tests.kills --kills $(or $(KILLS),120) $(ARGS) || exit 1; \
	done

fuzz: $(VENV)/.test  ## Type badly, 1,500 times, and look at what is said; SEED=... repeats it, TIMES=... says how often
	$(BIN)/python -m tests.fuzz --seed $(SEED) --times $(or $(TIMES),1500) $(ARGS)

test-random: $(VENV)/.test $(VENV)/warehouses/.done chromium postgres  ## Other and more generated data; SEED=... repeats them
	@echo "The seed is $(SEED); to do the same again: make test-random SEED=$(SEED)"
	$(OTHERS) $(BIN)/python $(PYTEST) -m random --hypothesis-seed=$(SEED) $(or $(ARGS),tests --ignore=tests/warehouses)
	$(if $(ARGS),,$(OTHERS) PRIME_SQL_ENGINES=all $(VENV)/warehouses/bin/python -m pytest -m random --hypothesis-seed=$(SEED) tests/warehouses)
	@echo "The seed was $(SEED)"

SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))
OTHERS = PRIME_SQL_SEED=$(SEED) PRIME_SQL_TIMES=$(or $(TIMES),20)

# Without the models: torch has no build without CUDA for other Pythons.
$(VENV)/newest/.done: pyproject.toml
	$(NEWEST) -m venv $(VENV)/newest
	$(VENV)/newest/bin/python $(INSTALL) -e '.[report,test]'
	touch $@

chromium:  ## Install the browser in which the tests look at a report, where we may
	sh tests/chromium.sh

# For an environment beside .venv: with the same Python, and with its packages where their versions fit.
# Torch and what comes with it are most of an installation.
define beside
	$(BIN)/python -m venv $(@D)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $(@D)/packages.pth
	mv $(@D)/packages.pth $$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
endef

environments: $(addprefix $(VENV)/,.test lowest/.done schedules/.done warehouses/.done $(if $(NEWEST),newest/.done)) $(NEW)/duckdb/.done

# The tests that between them call other packages in each way that we do: those without a model are chosen
# by `make lowest-tests`, and input in every form; those with one, by hand.
LOWEST := @tests/lowest_tests.txt $(addprefix tests/engine/test_,$(addsuffix .py,sources files_without_types csv_files \
	json_files column_types)) \
	tests/discovery/test_search.py::test_search_equals_the_oracle \
	$(addprefix tests/vision/, \
	classifiers \
	$(addprefix images/test_folders.py::test_,layouts globs) \
	$(addprefix images/test_tables.py::test_,files_of_rows frames bytes paths_and_uris \
		a_table_of_the_database_itself) \
	images/test_again.py::test_an_ibis_connection \
	$(addprefix commands/test_commands.py::test_,embed_and_tag_with_a_clip_model \
		tags_of_a_table_and_of_captions predict_loads_images_into_a_new_database_first \
		images_says_what_it_loaded_and_what_it_could_not)) \
	$(addprefix tests/vision/test_, \
	captions.py functions.py pictures.py orientation.py bad_pictures.py uris.py ram.py::test_scores \
	steps.py::test_only_what_is_new failing_models.py::test_out_of_memory \
	$(addprefix image_function.py::test_,any_call two_threads_call_at_once) \
	$(addprefix tag_tables.py::test_,a_table_of_tags_in_any_form a_list_of_tags_for_each_image \
		captions_of_an_image_are_put_together what_a_tagger_raises_passes_through_the_engine) \
	$(addprefix embed.py::test_,embeddings_are_those_of_open_clip_at_length_one \
		texts_are_embedded_as_by_open_clip) \
	$(addprefix clip.py::test_,names_that_open_clip_does_not_know a_folder_has_its_own_weights \
		a_folder_without_a_model weights_that_do_not_fit_are_named a_hub_that_cannot_be_reached \
		a_pickle_is_not_unpickled weights_of_torch_are_read_without_more \
		code_beside_the_weights_is_not_run_for_a_tokenizer \
		weights_have_one_name_and_the_activation_that_they_were_trained_with) \
	$(addprefix tag.py::test_,clip_tags_are_those_of_the_embeddings a_vocabulary_in_any_form \
		from_pictures_to_failure_modes))

test-lowest: $(VENV)/lowest/.done  ## Tests with the lowest versions that pyproject.toml admits
	$(VENV)/lowest/bin/python $(PYTEST) $(or $(ARGS),$(LOWEST))

lowest-tests: $(VENV)/newest/.done chromium  ## Choose these tests again, by what they call of other packages
	$(VENV)/newest/bin/python -m pytest -n0 -p tests.calls $(CORE)

test-schedules: $(VENV)/schedules/.done  ## Install dbt, Airflow and Dagster beside the core; run the scheduled examples
	DO_NOT_TRACK=1 $(VENV)/schedules/bin/python $(PYTEST) $(or $(ARGS),tests/schedules)

$(VENV)/schedules/.done: pyproject.toml tests/schedules/requirements.txt $(VENV)/.test
	$(beside)
	$(VENV)/schedules/bin/python $(INSTALL) -r tests/schedules/requirements.txt -e .
	touch $@

test-warehouses: $(VENV)/warehouses/.done postgres  ## Run on PostgreSQL, Spark, ClickHouse and DataFusion, installed beside the core
	$(MAKE) -j 2 --output-sync=target test-on-spark test-on-others

# In a process each: Spark starts once, and goes its own pace.
test-on-spark test-on-others: test-on-%: $(VENV)/warehouses/.done postgres
	PRIME_SQL_ENGINES=all $(VENV)/warehouses/bin/python -m pytest $(REPORT) \
		-k $(if $(filter spark,$*),spark,"not spark") $(or $(ARGS),tests/warehouses)

postgres:  ## Install PostgreSQL, and a Java for Spark, where we may
	sh tests/postgres.sh

$(VENV)/warehouses/.done: pyproject.toml tests/warehouses/requirements.txt $(VENV)/.test
	$(beside)
	$(VENV)/warehouses/bin/python $(INSTALL) $(TORCH) \
		-r tests/warehouses/requirements.txt -e '.[demo,postgres,spark,clickhouse,datafusion]'
	touch $@

$(VENV)/lowest/.done: pyproject.toml tests/lowest.txt $(VENV)/.test
	$(beside)
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

bench-wide: $(VENV)/.test  ## Time a search with thousands of tag columns beside the same tags in long form
	$(BIN)/python -m benchmarks.wide $(ARGS)

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

# One DuckDB of each line that pyproject.toml admits, for processes of the tests that put one of these
# folders first on PYTHONPATH.
$(VENV)/duckdb/.done: $(VENV)/.test
$(VENV)/newest/duckdb/.done: $(VENV)/newest/.done
$(VENV)/duckdb/.done $(VENV)/newest/duckdb/.done:
	rm -rf $(@D)
	$(patsubst %/duckdb,%,$(@D))/bin/python $(INSTALL) --no-deps --target $(@D)/1.4 'duckdb==1.4.1'
	$(patsubst %/duckdb,%,$(@D))/bin/python $(INSTALL) --no-deps --target $(@D)/1.5 'duckdb==1.5.*'
	$(patsubst %/duckdb,%,$(@D))/bin/python $(INSTALL) --no-deps --target $(@D)/2 'duckdb>=2,<3'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
