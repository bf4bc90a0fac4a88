# Pilot. `make help` lists what there is; CI runs exactly these.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
PACKAGES := proto disk http client data model digits cli services
CODE := $(PACKAGES) tests benchmarks studies tools

.PHONY: help setup demo test check bench schema fmt environments minio lock base clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## Make .venv from the pinned locks (about 5.5 GB)
	@tools/setup.sh

demo: setup ## Nine clients, three tasks, three rounds on this machine; leaves the UI up (ARGS=--exit stops)
	@OMP_NUM_THREADS=1 $(BIN)/pilot demo $(ARGS)

test: setup ## Every test that needs no cluster
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup --durations 10 $(ARGS)

check: setup ## Format, lint, types, imports, schema drift
	@$(BIN)/ruff format --check --quiet $(CODE) && echo "format  ok"
	@$(BIN)/ruff check --quiet $(CODE) && echo "lint    ok"
	@$(BIN)/mypy $(PACKAGES) studies tools && echo "types   ok"
	@set -o pipefail; $(BIN)/lint-imports --no-logo | tail -n 1
	@$(BIN)/python tools/schema.py --check && echo "schema  ok"
	@$(BIN)/python tools/troubleshooting.py --check && echo "codes   ok"

bench: setup ## Ratios measured side by side in one run; see benchmarks/
	@for script in benchmarks/{merge_bench,admission,listing,upload,trainer_steps,demo_bench,data_validate}.py; do echo "== $$script"; OMP_NUM_THREADS=1 $(BIN)/python $$script || exit 1; done

schema: setup ## Write proto/schema, proto/openapi and the tables of docs/troubleshooting.md again
	@$(BIN)/python tools/schema.py && $(BIN)/python tools/troubleshooting.py

fmt: setup ## Format and fix what can be fixed
	@$(BIN)/ruff format $(CODE) && $(BIN)/ruff check --fix $(CODE)

minio: ## Build the MinIO server that the bucket's tests need into .minio (needs Go)
	@tools/minio.sh

environments: setup ## Make .envs: other versions of clients, and the model without the services, for their tests
	@tools/environments.sh $(ARGS)

lock: ## Resolve and pin again (ARGS=--upgrade for newer versions)
	@tools/lock.sh $(ARGS)

base: setup ## Train the base model digits-tiny again (12 minutes on one core)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pilot_digits.base

clean: ## Remove .venv, .uv, .envs and .pilot
	rm -rf .venv .uv .envs .pilot
