# `make` lists what there is. `make serve` and `make test` are enough: both make .venv and install what they need.
.DEFAULT_GOAL := help
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
is_new_enough = $(shell $(1) $(NEW_ENOUGH) 2>/dev/null && echo $(1))
# The first of these that there is and that the service runs on.
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,$(call is_new_enough,$(python))))
ACCELERATOR ?= $(if $(wildcard /proc/driver/nvidia/version),gpu,cpu)
PORT ?= 8000
SECONDS ?= 60
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

TOOLS := .venv/tools/bin
LOCKED ?= cpu gpu train sbom
TORCH ?= https://download.pytorch.org/whl/cpu/torch/

# An image: `make image TARGET=gpu`. The first of these programs that works; BUILD and RUN_FLAGS are for other ways.
TARGET ?= cpu
IMAGE ?= roberta-serve
ENGINE ?= $(firstword $(shell docker info >/dev/null 2>&1 && echo docker || command -v podman || command -v buildah || :))
BUILD ?= $(ENGINE) build $(if $(filter docker,$(notdir $(ENGINE))),,--format docker)
CONTEXT ?= .
VERSION_NOW = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' app/__init__.py)
ORIGIN = $(shell git remote get-url origin 2>/dev/null)
LABELS = --label org.opencontainers.image.version=$(VERSION_NOW) \
  --label org.opencontainers.image.revision=$(shell git describe --always --abbrev=40 --dirty --exclude '*') \
  --label org.opencontainers.image.created=$(shell git log -1 --format=%cI) \
  $(if $(ORIGIN),--label org.opencontainers.image.source=$(ORIGIN))

.PHONY: help serve train test clients check test-live test-training test-app test-rest chaos ray watch dashboards dashboards-check pictures \
  fuzz format audit lock image image-check compose-check pin release clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*##  *\(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS="$$(printf '\t')" read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

serve: .venv/serve-$(ACCELERATOR)  ## start the service on http://localhost:8000 with the bundles in models/
	$(BIN)/roberta-serve --models models --port $(PORT)

train: .venv/train-$(ACCELERATOR)  ## what roberta-train needs, torch among it

test: .venv/test-$(ACCELERATOR)  ## every test, the lint and the types
	$(MAKE) check

clients: .venv/bin/python  ## the clients that tests/live asks with and that need a place of their own: of JavaScript, and tritonclient
	npm install --silent --no-fund --no-audit --prefix .venv/clients @huggingface/inference@4.13.30 axe-core@4.14.1
	$(BIN)/python -m venv .venv/triton
	.venv/triton/bin/python -m pip install --quiet --disable-pip-version-check 'tritonclient[http]==2.73.0'

check:  ## what CI runs, in an environment that is already there
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) --jobs=3 --output-sync=target test-live test-training test-app test-rest

test-live:  ## the tests of the service as a whole, over HTTP
	$(BIN)/python -m pytest tests/live

test-training:  ## the tests of training; COVERAGE="--cov=training --cov-fail-under=96" measures what they cover
	$(BIN)/python -m pytest tests/training $(COVERAGE)

test-app:  ## the tests of the service's modules, which fail below the floor of branch coverage in pyproject.toml
	$(BIN)/python -m pytest tests/app --cov --cov-report=term:skip-covered

test-rest:  ## all other tests
	$(BIN)/python -m pytest --ignore=tests/app --ignore=tests/live --ignore=tests/training

chaos:  ## every fault, under load, against the real command: one table; CHAOS="--seconds 3600 --only soak"
	$(BIN)/python -m tests.chaos $(CHAOS)

ray: .venv/bin/python  ## a Ray cluster of two nodes on this machine: what is lost with a replica and a node, and what each way in costs; needs wrk
	$(PIP) -e '.[$(ACCELERATOR),ray]'
	$(BIN)/python -m benchmarks.cluster faults
	$(BIN)/python -m benchmarks.cluster files
	$(BIN)/python -m benchmarks.cluster replicas
	$(BIN)/python -m benchmarks.cluster scaling
	$(BIN)/python -m benchmarks.cluster ways

watch:  ## every alert made to fire and to end, and every query asked, by a real Prometheus and Alertmanager; WATCH="--list"
	$(BIN)/python -m tests.watch $(WATCH)

dashboards:  ## draw deploy/grafana/dashboards anew from deploy/grafana/*.py and docs/operations.md
	$(BIN)/python -m deploy.grafana.draw

dashboards-check:  ## hold the dashboards against Grafana's own types and code, from npm
	npm install --silent --no-fund --no-audit --legacy-peer-deps --prefix .venv/grafana \
	  @grafana/data@13.2.3 @grafana/schema@13.2.3 react@18.3.1 react-dom@18.3.1 typescript@5.9.3
	$(BIN)/python -m tests.watch.grafana .venv/grafana

pictures:  ## draw docs/pictures anew, from the page before the bundles in models/, and with REPORT=FILE the report's; needs Chromium
	$(BIN)/python -m docs.pictures
	$(if $(REPORT),$(BIN)/python -m docs.report_picture $(REPORT))

fuzz:  ## random bytes for every reader of what others wrote, SECONDS of each; HARNESSES="http-head" chooses
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(HARNESSES)

format: .venv/test-$(ACCELERATOR)  ## write every file as ruff would
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: .venv/tools/ready  ## known vulnerabilities of what constraints.txt pins; fails where one cannot be looked up
	@$(TOOLS)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off \
	  2>.venv/audit.log; code=$$?; grep -v ^WARNING .venv/audit.log >&2; \
	if grep -qE 'not found on PyPI|network may be blocking|ConnectionError' .venv/audit.log; then \
	  echo 'Nothing was audited: the advisories of PyPI cannot be reached, or this is a mirror without them; run' \
	    'make audit where they can.' >&2; fi; exit $$code

# hf-xet is left out: huggingface_hub fetches without it, over HTTP. torch's build for the CPU stands on a page of its own.
lock: .venv/tools/ready  ## deploy/requirements/: what the images install, with hashes; LOCKED="cpu gpu" for some of them
	for name in $(LOCKED); do \
	  case $$name in \
	    sbom) from=deploy/requirements/sbom.in ;; \
	    train) from="--extra cpu --extra train --find-links $(TORCH) pyproject.toml" ;; \
	    *) from="--extra $$name --extra tracing pyproject.toml" ;; \
	  esac; \
	  lock=deploy/requirements/$$name.txt; \
	  $(TOOLS)/pip-compile --quiet --no-header --no-annotate --strip-extras --unsafe-package hf-xet --generate-hashes \
	    --no-emit-index-url --no-emit-find-links $$(test $$name = sbom || echo --constraint constraints.txt) \
	    --output-file $$lock $$from 2>/dev/null && sed -i '/^#/d; /^$$/d' $$lock || exit 1; \
	done

image:  ## build the image TARGET: cpu, gpu or train
	@$(if $(ENGINE),,echo 'docker, podman or buildah is needed: install one, or name it with make ENGINE=' >&2; exit 1)
	$(BUILD) --file Dockerfile --target $(TARGET) --tag $(IMAGE):$(TARGET) $(LABELS) $(BUILD_FLAGS) $(CONTEXT)

image-check: .venv/test-$(ACCELERATOR)  ## run the image TARGET, and ask what is inside
	$(BIN)/python -m tests.images --engine $(ENGINE) --flags="$(RUN_FLAGS)" $(IMAGE):$(TARGET)

compose-check: .venv/test-$(ACCELERATOR)  ## bring docker-compose.yml up, and ask what it is for; COMPOSE="--without grafana"
	$(BIN)/python -m tests.images.composed $(COMPOSE)

pin: .venv/bin/python  ## write the digests of images into the Dockerfile and the compose file; skopeo or docker asks for them
	$(BIN)/python -m deploy.release.pin Dockerfile docker-compose.yml

release: .venv/tools/ready  ## everything that a version VERSION=x.y.z consists of, in dist/; RELEASE=--dry-run changes nothing
	PATH="$(abspath $(TOOLS)):$$PATH" $(BIN)/python -m deploy.release $(VERSION) --engine "$(ENGINE)" $(RELEASE)

.venv/tools/ready: .venv/bin/python
	$(BIN)/python -m venv .venv/tools
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check 'build>=1.3' 'cyclonedx-bom>=7.5' 'pip-audit>=2.9' 'pip-tools>=7.5'
	touch $@

# One that was made by an older Python is made anew.
.venv/bin/python: $(if $(wildcard .venv/bin/python),$(if $(call is_new_enough,.venv/bin/python),,too-old))
	@$(or $(PYTHON),false) $(NEW_ENOUGH) 2>/dev/null || \
	  { echo 'Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3.11' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv

.PHONY: too-old
too-old:

.venv/serve-$(ACCELERATOR): .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[$(ACCELERATOR)]'
	touch $@

.venv/train-$(ACCELERATOR): .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[$(ACCELERATOR),train]'
	touch $@ .venv/serve-$(ACCELERATOR)

.venv/test-$(ACCELERATOR): .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[$(ACCELERATOR),train,dev]'
	touch $@ .venv/train-$(ACCELERATOR) .venv/serve-$(ACCELERATOR)

clean:  ## remove the environment and what was built
	rm -rf .venv build dist *.egg-info
