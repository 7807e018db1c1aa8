# Everything a contributor runs. Needs python3 (3.11 to 3.13), make and a package index.
# Another Python: make test PYTHON=/path/to/python3.12

PYTHON ?= python3
VENV := .venv
# If .venv has another Python than PYTHON, that Python gets its own environment: .venv-3.12.
ifneq ($(origin PYTHON),file)
WANTED := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PRESENT := $(shell sed -n 's/^version = \([0-9]*\.[0-9]*\).*/\1/p' .venv/pyvenv.cfg 2>/dev/null)
ifeq ($(WANTED),)
$(error shardmill: PYTHON=$(PYTHON) does not run; try: make setup PYTHON=python3.12)
endif
ifneq ($(filter-out $(WANTED),$(PRESENT)),)
VENV := .venv-$(WANTED)
endif
endif
BIN := $(VENV)/bin
# A notice of the theme in each build.
export NO_MKDOCS_2_WARNING := 1
INSTALLED := $(VENV)/installed
UNFINISHED := $(VENV)/unfinished
S3_SERVER := .s3-server/versitygw
S3_SERVER_PACKAGE := github.com/versity/versitygw/cmd/versitygw@v1.8.0
CLOUD_SERVERS := .cloud-servers/installed
GCS_SERVER_PACKAGE := github.com/fsouza/fake-gcs-server@v1.56.1
AZURE_SERVER_PACKAGE := azurite@3
ACTIONLINT := .actionlint/actionlint
ACTIONLINT_PACKAGE := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
QUICK_TESTS := -n auto --dist loadfile --disable-warnings -m "not slow and not s3 and not clouds and not cluster"
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-compile
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet $(if $(UPGRADE),--upgrade)
# The images have the versions of requirements.lock.
IMAGE_LOCK_FLAGS := $(filter-out --upgrade,$(LOCK_FLAGS)) --constraint requirements.lock \
	--extra s3 --extra gcs --extra azure --extra metrics --extra otel

.PHONY: help setup demo test test-all s3-server test-s3 cloud-servers test-clouds cluster-test deploy-test libraries-test attack coverage \
	check lint-workflows api-check pre-commit release-check bench bench-quick docs docs-serve \
	pages tutorials lock wheel images clean distclean
.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) ## create .venv from requirements.lock; does nothing when it is up to date

demo: $(INSTALLED) ## handwritten digits, from PNG folders to a trained model, in demo/
	@$(BIN)/python docs/scripts/demo.py

test: $(INSTALLED) ## run the tests, but the slow ones and those of servers and clusters
	@$(BIN)/python -m pytest $(QUICK_TESTS)

test-all: $(INSTALLED) ## run every test
	@$(BIN)/python -m pytest

s3-server: $(S3_SERVER) ## build versitygw, the S3 server of the tests, in .s3-server/; needs go

test-s3: $(INSTALLED) $(S3_SERVER) ## run the tests of object storage against that server
	@$(BIN)/python -m pytest -m s3 tests/s3

cloud-servers: $(S3_SERVER) $(CLOUD_SERVERS) ## fetch the servers of the tests of three clouds; needs go and npm

test-clouds: $(INSTALLED) cloud-servers ## run the tests of S3, Google Cloud Storage and Azure: half an hour
	@$(BIN)/python -m pytest -m clouds tests/clouds

cluster-test: $(INSTALLED) $(S3_SERVER) ## fetch Flink, Spark and Prism, and convert on each: java, Maven, Go
	@$(BIN)/python -m tests.clusters.testbed fetch
	@$(BIN)/python -m pytest -m cluster tests/clusters

deploy-test: $(INSTALLED) ## install Airflow and schemas into .deploy-test/, and test deploy/ with them
	@$(PYTHON) -m venv .deploy-test
	@.deploy-test/bin/python -m pip --disable-pip-version-check install --quiet \
		-r tests/deploy/requirements.txt
	@mvn --quiet --batch-mode dependency:copy -DoutputDirectory=.deploy-test \
		-Dartifact=org.apache.flink:flink-kubernetes-operator-api:1.10.0:jar
	@$(BIN)/python -m pytest tests/deploy

libraries-test: $(INSTALLED) ## install PyTorch, Grain, FiftyOne and others into .libraries/, and test reading with them (LIBRARIES="torch grain")
	@$(BIN)/python -m tests.libraries $(LIBRARIES)
	@$(BIN)/python -m pytest tests/libraries

attack: $(INSTALLED) ## attack every command for an hour: faults, kills, mutated images; needs cc (MINUTES=60 SEED=0)
	@$(BIN)/python -m tests.attack --minutes $(or $(MINUTES),60) --seed $(or $(SEED),0)

coverage: $(INSTALLED) ## run the tests of `make test`, and write their coverage into .coverage-report/
	@mkdir -p .coverage-report
	@$(BIN)/python -m pytest $(QUICK_TESTS) --cov --cov-report term:skip-covered \
		--cov-report xml --cov-report html

check: $(INSTALLED) lint-workflows api-check ## lint, formatting, types, layering, prose, and every command in the documentation
	$(BIN)/ruff check --quiet --output-format concise .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tests/docs/prose.py README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md \
		CODE_OF_CONDUCT.md .github/pull_request_template.md docs \
		shardmill records pipelines trainers benchmarks deploy
	$(BIN)/mkdocs build --quiet
	$(BIN)/python docs/scripts/cli_page.py --check
	$(BIN)/python docs/scripts/json_schema.py --check
	$(BIN)/python docs/scripts/capacity_planning.py --check
	$(BIN)/python docs/scripts/architecture_picture.py --check
	$(BIN)/python tests/docs/run_commands.py README.md docs

lint-workflows: $(INSTALLED) $(if $(shell command -v go 2>/dev/null),$(ACTIONLINT)) ## check .github/ with zizmor and, if go is on PATH, with actionlint
	$(BIN)/zizmor --offline --quiet --persona pedantic .
ifneq ($(shell command -v go 2>/dev/null),)
	$(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml
else
	@echo "actionlint: skipped, because go is missing (Debian: golang-go)"
endif

api-check: $(INSTALLED) ## compare the Python API with that of the last release
	$(BIN)/python tests/release/api_check.py

pre-commit: $(INSTALLED) ## run the hooks of .pre-commit-config.yaml on all files
	$(BIN)/pre-commit run --all-files

release-check: $(INSTALLED) ## build and install wheel and sdist in .release/, write the SBOM (TAG=v1.2.3: compare it)
	@BIN=$(BIN) tests/release/check.sh $(TAG)

bench: $(INSTALLED) $(if $(shell command -v go 2>/dev/null),$(S3_SERVER)) ## run the benchmarks, three rounds, and write their tables to the documentation
	@$(BIN)/python -m benchmarks run --results benchmarks/results
	@$(BIN)/python -m benchmarks page

bench-quick: $(INSTALLED) $(if $(shell command -v go 2>/dev/null),$(S3_SERVER)) ## run a part of the benchmarks in half an hour, print the tables
	@$(BIN)/python -m benchmarks run --scale quick

docs: $(INSTALLED) ## build the documentation site into site/, strictly
	@$(BIN)/mkdocs build --quiet

docs-serve: $(INSTALLED) ## serve the documentation site on localhost:8000, and rebuild it on changes
	@$(BIN)/mkdocs serve

pages: demo ## write the pages and pictures that are made by commands
	@$(BIN)/python docs/scripts/cli_page.py
	@$(BIN)/python docs/scripts/json_schema.py
	@$(BIN)/python docs/scripts/capacity_planning.py --write
	@$(BIN)/python docs/scripts/architecture_picture.py
	@mkdir -p docs/pictures
	@cp demo/grid.png demo/run/curves.png demo/run/confusion-test.png docs/pictures/

tutorials: $(INSTALLED) ## run every tutorial with the files in DATA, half an hour, and write its page
	@$(BIN)/python docs/scripts/tutorials.py run --data $(DATA) --out $(or $(OUT),build/tutorials)

lock: $(INSTALLED) ## renew the lock files from pyproject.toml (UPGRADE=1: to the newest versions)
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra dev -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(IMAGE_LOCK_FLAGS) -o deploy/images/convert.lock pyproject.toml
	$(BIN)/uv pip compile $(IMAGE_LOCK_FLAGS) --extra train --extra beam --extra tensorboard \
		-o deploy/images/train.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; content = tomllib.load(open("pyproject.toml", "rb")); \
		extras = content["project"]["optional-dependencies"]; \
		print(*content["build-system"]["requires"], *extras["release"], sep="\n")' | \
		$(BIN)/uv pip compile $(LOCK_FLAGS) -o tests/release/requirements.lock -

wheel: $(INSTALLED) ## build the wheel that a cluster's workers install, in dist/
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation \
		--wheel-dir dist .

images: ## build the container images from the wheel in dist/ (REGISTRY=, TAG=; PUSH=1: push them with SBOMs)
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" PUSH="$(PUSH)" deploy/images/build.sh

clean: ## remove what these targets made, but .venv
	rm -rf demo dist build site .coverage-report .release .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove all environments and fetched programs as well
	rm -rf .venv .venv-3.* .s3-server .cloud-servers .actionlint .deploy-test .libraries .engines

$(S3_SERVER):
	@command -v go >/dev/null || { echo "shardmill: the S3 server of the tests is built by go" \
		"(Debian: golang-go); got no go on PATH" >&2; exit 1; }
	@echo "Building versitygw into .s3-server; the first time this takes a few minutes."
	@GOBIN=$(CURDIR)/.s3-server go install $(S3_SERVER_PACKAGE)

$(CLOUD_SERVERS):
	@command -v npm >/dev/null || { echo "shardmill: the Azure server of the tests is installed by npm" \
		"(Debian: npm); got no npm on PATH" >&2; exit 1; }
	@echo "Building fake-gcs-server and installing Azurite into .cloud-servers: a few minutes."
	@GOBIN=$(CURDIR)/.cloud-servers go install $(GCS_SERVER_PACKAGE)
	@npm install --silent --no-save --prefix .cloud-servers $(AZURE_SERVER_PACKAGE)
	@touch $@

$(ACTIONLINT):
	@echo "Building actionlint into .actionlint."
	@GOBIN=$(CURDIR)/.actionlint go install $(ACTIONLINT_PACKAGE)

# The lock names every package with its hash, build backend included, so pip resolves nothing and
# downloads nothing else. A run that was cut short leaves `unfinished` behind: the next starts over.
# Compiled on all cores afterwards: where Python may not write bytecode, every import of TensorFlow
# would compile it again (25 s instead of 11). Some packages ship templates that are not Python.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		2>/dev/null || { echo "shardmill: needs Python 3.11 to 3.13 with venv (Debian: python3-venv), got" \
		"'$(PYTHON)' ($$($(PYTHON) --version 2>&1)); try: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV); the first time this takes a few minutes."
	@$(PYTHON) -m venv $(if $(wildcard $(UNFINISHED)),--clear) $(VENV)
	@touch $(UNFINISHED)
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib records pipelines trainers shardmill >/dev/null || true
	@mv $(UNFINISHED) $(INSTALLED)
