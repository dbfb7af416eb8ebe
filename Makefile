# Every target sets itself up: it needs only Python >= 3.11 with pip, and make.
SHELL := /bin/sh
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo "python3 -m uv")
RUN := $(UV) run --frozen

.PHONY: help setup run demo test test-all lint format bench docs sizes

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:
	@$(UV) --version >/dev/null 2>&1 || python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore uv \
	  || python3 -m pip install --quiet --disable-pip-version-check --user --break-system-packages uv
	@$(UV) sync --frozen --quiet

run: setup ## write deltaglider_proxy.yaml once, then serve on 127.0.0.1:9000
	@test -e deltaglider_proxy.yaml || $(RUN) deltaglider_proxy init
	@echo "Try, in another terminal, with the key pair of deltaglider_proxy.yaml in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY:"
	@echo "  export AWS_ENDPOINT_URL=http://127.0.0.1:9000 AWS_DEFAULT_REGION=us-east-1"
	@echo "  aws s3 mb s3://releases && aws s3 cp README.md s3://releases/"
	@echo "  curl http://127.0.0.1:9000/_/stats"
	@$(RUN) deltaglider_proxy

demo: setup ## upload a few releases to a throw-away server and show what is saved
	@$(RUN) python -m bench.demo

lint: setup ## formatting, lint, types, layers
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports

format: setup ## format and fix what can be fixed
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

test: lint ## lint, then every test that is not marked slow
	@$(RUN) pytest -n 2 --dist loadfile -m "not slow"

test-all: lint ## every test; a missing client is a failure
	@DGP_TEST_REQUIRE_CLIENTS=1 $(RUN) pytest -n 2 --dist loadfile

bench: setup ## measure against xdelta3 and versitygw, side by side
	@$(RUN) python -m bench

soak: setup ## faults under load for MINUTES (10), with SEED and BACKEND (filesystem, versitygw); see docs/internals/soak.md
	@$(RUN) python -m tests.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(if $(BACKEND),--backend $(BACKEND))

docs: setup ## write the generated pages, then build the site into build/site
	@$(RUN) python -m tools.reference_pages
	@$(RUN) --group docs mkdocs build --strict

sizes: ## the longest modules
	@git ls-files 'src/*.py' | xargs wc -l | sort -rn | sed -n '2,21p'
