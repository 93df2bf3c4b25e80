# Every target does its own set-up; `make help` lists them.
PYTHON ?= python3
VENV := .venv/bin

# Tests start Python often; without its cache each start compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE
PARALLEL := $(VENV)/pytest -n logical --dist worksteal -m
UNTIMED := "not servers and not native and not browser and not clock"
TIMED := "clock and not servers and not native and not browser"

.PHONY: help venv lock up down bench test unit native coverage chaos mutants test-bare lint report findings docs base-image clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: ## the project's virtual environment, from the lock file
	@$(PYTHON) scripts/_venv.py

lock: venv ## pin what pyproject.toml and each requirements.in ask for, by hash; UPGRADE=1 takes new versions
	@for file in pyproject.toml $$(git ls-files --cached --others --exclude-standard '*requirements.in'); do \
	    echo "locking $$(dirname "$$file")/requirements.txt"; \
	    $(VENV)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	        $(if $(UPGRADE),--upgrade) $$(case "$$file" in pyproject.toml) echo --extra dev ;; esac) \
	        "$$file" --output-file "$$(dirname "$$file")/requirements.txt" || exit; \
	done

up: ## bring up all stacks and their upstreams in containers, or one: make up STACK=fastapi-async
	@./scripts/up.py $(STACK)

down: ## stop and remove the project's containers
	@docker compose --profile all down --remove-orphans

bench: ## time the matrix; BUDGET=3m bounds it
	@./scripts/check-performance.py $(if $(BUDGET),--budget $(BUDGET))

test: venv ## every test: the delay server's, unit tests, and the contract against real servers
	cd upstream/delay && GOTOOLCHAIN=local GOFLAGS=-mod=mod PATH="$(CURDIR)/$(VENV):$$PATH" go test ./...
ifdef COVER
	@$(MAKE) --no-print-directory coverage
else
	$(PARALLEL) $(UNTIMED)
	$(VENV)/pytest -m $(TIMED)
endif
	$(VENV)/pytest -m "servers or native or browser"

unit: venv ## the tests that need neither other programs nor quiet cores, on every core; HYPOTHESIS_PROFILE=ci tries more examples
	$(PARALLEL) "not servers and not native and not browser and not clock and not tools"

native: venv ## the tests whose servers run as processes of this machine
	$(VENV)/pytest -m native

coverage: venv ## the share of statements and branches that tests without servers run, by package
	$(PARALLEL) $(UNTIMED) --cov --cov-report=
	$(VENV)/pytest -m $(TIMED) --cov --cov-append --cov-report=
	$(VENV)/python .ci/coverage.py

chaos: venv ## what kills, pauses and interruptions do to a run in containers; its table goes to docs/reliability.md
	$(VENV)/pytest -q tests/chaos --table docs/reliability.md

mutants: venv ## changes in analysis/ and results/ that no test sees, or in one module: make mutants OF='*model.ceiling*'
	$(VENV)/mutmut run $(OF)
	$(VENV)/mutmut results

test-bare: ## make test on a fresh machine: a container without Docker, as a user other than root
	scripts/test-in-container

lint: venv ## ruff, mypy in strict mode, the imports between floors, gofmt, go vet, shellcheck, hadolint, the compose file
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	@test -z "$$("$$($(VENV)/go env GOROOT)/bin/gofmt" -l upstream/delay | tee /dev/stderr)"
	cd upstream/delay && GOTOOLCHAIN=local PATH="$(CURDIR)/$(VENV):$$PATH" go vet ./...
	$(VENV)/shellcheck $$(git ls-files | xargs grep -lE '^#!.*\b(ba)?sh$$')
	$(VENV)/hadolint $$(git ls-files '*Dockerfile')
	@if docker compose version >/dev/null 2>&1; then docker compose --profile all config --quiet; fi

report: venv ## the README's figure, from the reference run: make report RUN=results/…
	@./scripts/report.py $(RUN)
	@cp $(RUN)/figures/matrix.svg $(RUN)/figures/matrix-dark.svg docs/

findings: ## docs/findings.md: every experiment, or from runs that are there: make findings RUN='results/…'
	@./scripts/findings.py $(RUN)

docs: venv ## the tables of docs/results.md, from the code
	@$(VENV)/python scripts/_results_docs.py

base-image: ## debian:trixie-slim, made here when no registry answers
	@./scripts/base-image

clean: ## remove what runs left in the checkout, but not results/
	rm -rf .state .mypy_cache .ruff_cache .pytest_cache .hypothesis
