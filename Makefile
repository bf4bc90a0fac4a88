# Pilot. `make help` lists what there is; CI runs exactly these.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
PACKAGES := proto disk http client data model digits reports cli services
CODE := $(PACKAGES) tests benchmarks studies tools charts

.PHONY: help setup demo test slow-test check bench bench-cluster schema fmt environments helm chart minio setup-browser browser-test screenshots images cluster-test cluster-up cluster-down lock base clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: ## Make .venv from the pinned locks (about 5.5 GB)
	@tools/setup.sh

demo: setup ## Nine clients, three tasks, three rounds on this machine; leaves the UI up (ARGS=--exit stops)
	@OMP_NUM_THREADS=1 $(BIN)/pilot demo $(ARGS)

test: setup ## Every test that needs no cluster, no browser and no minutes
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 10 -m "not browser and not slow and not cluster" $(ARGS)

slow-test: setup ## Both services and trainers killed at every line, whole runs on Postgres: minutes of them
	@OMP_NUM_THREADS=1 $(BIN)/pytest tests/protocol -n 3 --dist loadfile --no-loadscope-reorder --durations 5 -m slow $(ARGS)

check: setup ## Format, lint, types, imports, schema drift
	@$(BIN)/ruff format --check --quiet $(CODE) && echo "format  ok"
	@$(BIN)/ruff check --quiet $(CODE) && echo "lint    ok"
	@$(BIN)/mypy $(PACKAGES) studies tools && echo "types   ok"
	@set -o pipefail; $(BIN)/lint-imports --no-logo | tail -n 1
	@$(BIN)/python tools/schema.py --check && echo "schema  ok"
	@$(BIN)/python tools/troubleshooting.py --check && echo "codes   ok"

bench: setup ## Ratios measured side by side in one run; see benchmarks/
	@for script in benchmarks/{merge_bench,admission,listing,upload,trainer_steps,demo_bench,data_validate,pages,live_page}.py; do echo "== $$script"; OMP_NUM_THREADS=1 $(BIN)/python $$script || exit 1; done

bench-cluster: setup ## A thousand Jobs, and what a round costs over the local backend; on a cluster as cluster-test's
	@tests/cluster/run.sh bench

schema: setup ## Write proto/schema, proto/openapi and the tables of docs/troubleshooting.md again
	@$(BIN)/python tools/schema.py && $(BIN)/python tools/troubleshooting.py

fmt: setup ## Format and fix what can be fixed
	@$(BIN)/ruff format $(CODE) && $(BIN)/ruff check --fix $(CODE)

minio: ## Build the MinIO server that the bucket's tests need into .minio (needs Go)
	@tools/minio.sh

setup-browser: ## Bring Chromium and axe-core, for the pages' tests (needs root where Chromium is missing, and npm)
	@tools/browser.sh

browser-test: setup ## The pages in a real browser, after a real digits run
	@OMP_NUM_THREADS=1 $(BIN)/pytest tests/browser -m browser --durations 5 $(ARGS)

screenshots: setup ## Every page, light and dark, into .screenshots; the four of the README into docs/images
	@OMP_NUM_THREADS=1 PILOT_SCREENSHOTS=.screenshots $(BIN)/pytest -q tests/browser/test_every_page.py -m browser $(ARGS)

images: ## Build the container images (REGISTRY=... PUSH=1 TAG=... IMAGES="..."; see tools/images.sh)
	@tools/images.sh

cluster-test: setup ## Tests on a real Kubernetes cluster: one made here (needs root, Debian, Go), or PILOT_TEST_KUBECONFIG
	@tests/cluster/run.sh test $(ARGS)

cluster-up: setup ## Only make that cluster and load Pilot's images; eval "$$(tests/cluster/cluster.sh env)" to use it
	@tests/cluster/run.sh up

cluster-down: ## Stop that cluster and remove what it left
	@tests/cluster/cluster.sh down

helm: ## Build Helm 4 into .helm/bin (ARGS="helm3 helm-docs" for those; needs Go)
	@tools/helm.sh $(ARGS)

chart: setup ## Write the chart's README and golden renders again (after make helm ARGS="helm helm-docs")
	@.helm/bin/helm-docs --chart-search-root charts/pilot --log-level warning && $(BIN)/python tests/chart/needed.py && $(BIN)/python tests/chart/golden.py

environments: setup ## Make .envs: other versions of clients, and the model without the services, for their tests
	@tools/environments.sh $(ARGS)

lock: ## Resolve and pin again (ARGS=--upgrade for newer versions)
	@tools/lock.sh $(ARGS)

base: setup ## Train the base model digits-tiny again (12 minutes on one core)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pilot_digits.base

clean: ## Remove .venv, .uv, .envs and .pilot
	rm -rf .venv .uv .envs .pilot
