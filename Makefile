# Needs Python 3.11 or newer, pip and make. Everything else comes into .venv by itself.
SHELL = bash
PYTHON ?= python3
# The warning that an editable install gives is not for people who just want to ask.
PIP = PYTHONWARNINGS=ignore .venv/bin/python -m pip --disable-pip-version-check
TEST = .venv/bin/python -m pytest
# Taken as it is typed: no $ in a question is a make variable.
override Q := $(value Q)
export Q
# The tests start hundreds of processes: each would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help ask ui chat test test-fast coverage test-browser test-heavy test-clients test-foreign test-wires test-newest test-oldest check lint types contracts soak bench votes budgets kills faults leaks reliability picture screenshot recording house layout constraints package supply clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

ask: .venv/.installed  ## ask the council: make ask Q="What is 17 + 25?"
	@test -n "$$Q" || { echo 'Type a question: make ask Q="What is 17 + 25?"' >&2; exit 2; }
	@.venv/bin/mom ask -- "$$Q" < /dev/null
	@echo 'Go on with: .venv/bin/mom demo, .venv/bin/mom ask "...", .venv/bin/mom chat; on your PATH: pipx install .' >&2

ui: .venv/.ui  ## open the chat page in a browser
	@.venv/bin/mom ui

chat: .venv/.installed  ## talk with the council in the terminal
	@.venv/bin/mom chat

test: .venv/.developing  ## run all tests but the browser's and the heavy ones
	$(TEST) -n 3 --dist loadfile -m "not browser and not heavy and not live" --durations=10

test-fast: .venv/.developing  ## run the tests that take no more than a moment
	$(TEST) -n 2 --dist loadfile -m "not slow and not browser and not heavy and not live"

coverage: .venv/.developing  ## run the same tests, and say which lines and branches they do not reach
	$(TEST) -n 2 --dist loadfile -m "not browser and not heavy and not live" --cov --cov-report=term:skip-covered

test-browser: .venv/.developing  ## drive the page in a real chromium, which has to be installed
	$(TEST) -m browser tests/browser

test-wires: .venv/.developing  ## run the tests of models and of the graph with the vendors' own clients in place of our wire
	MOM_THIN_WIRE=0 .venv/bin/python -m pytest -n 2 --dist loadfile -m "not slow and not browser and not heavy and not live" \
		tests/models tests/nodes tests/graph tests/deliberation

test-newest: .venv/.developing  ## run the fast tests on the newest versions that pyproject.toml allows
	$(call test-versions,newest,highest)

test-oldest: .venv/.developing  ## run the fast tests on the oldest versions that pyproject.toml allows
	$(call test-versions,oldest,lowest-direct)

# An environment of its own, made anew, without constraints.txt.
define test-versions
	.venv/bin/uv venv --quiet --clear --python .venv/bin/python .venv-$(1)
	.venv/bin/uv pip install --quiet --python .venv-$(1)/bin/python --resolution $(2) --editable . --group dev
	.venv-$(1)/bin/python -m pytest -n 2 --dist loadfile -m "not slow and not browser and not heavy and not live"
endef

test-heavy: .venv/.heavy  ## run the tests that need torch, diffusers or ray, or that kill runs (KILLS=20, RACES=6)
	$(TEST) -m "heavy and not live"

test-clients: .clients/.installed  ## drive real clients (Claude Code, Codex, opencode, ...); make the table in docs/clients.md
	MOM_WRITE_CLIENTS=1 .venv/bin/python -m pytest -p no:cacheprovider tests/clients

test-foreign: .foreign/.installed  ## run suites of others against us, on the wheel and the newest packages: LangGraph's, MCP's, schemathesis
	.venv/bin/python -m pytest -p no:cacheprovider tests/foreign

.foreign/.installed: .venv/.developing
	npm install --prefix .foreign --no-fund --no-audit --loglevel=error node@22 @modelcontextprotocol/conformance
	.venv/bin/uv venv --quiet --clear --python .venv/bin/python .foreign/python
	@rm -rf build .foreign/dist
	$(PIP) wheel --quiet --no-deps --wheel-dir .foreign/dist .
	@rm -rf build
	.venv/bin/uv pip install --quiet --python .foreign/python/bin/python \
		"$$(ls .foreign/dist/*.whl)[server,postgres]" langgraph-checkpoint-conformance schemathesis llm inspect_ai
	touch $@

.clients/.installed: .venv/.developing
	npm install --prefix .clients --no-fund --no-audit --loglevel=error @anthropic-ai/claude-code @openai/codex opencode-ai \
		ai @ai-sdk/openai-compatible zod
	.venv/bin/uv venv --quiet --clear --python .venv/bin/python .clients/python
	.venv/bin/uv pip install --quiet --python .clients/python/bin/python \
		openai anthropic litellm instructor 'pydantic-ai-slim[openai]' openai-agents langchain-openai
	.venv/bin/uv venv --quiet --clear --python .venv/bin/python .clients/llama
	.venv/bin/uv pip install --quiet --python .clients/llama/bin/python llama-index-llms-openai-like
	.venv/bin/uv venv --quiet --clear --python .venv/bin/python .clients/aider
	.venv/bin/uv pip install --quiet --python .clients/aider/bin/python aider-chat
	touch $@

check: lint types contracts  ## lint, types and import contracts

lint: .venv/.developing
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.developing
	.venv/bin/mypy

contracts: .venv/.developing
	.venv/bin/lint-imports

soak: .venv/.developing  ## ask with seeded faults, 50,000 calls: nothing grows, nothing is lost
	.venv/bin/python -m mom_council.tests.soak --calls 50000 --seed $(or $(SEED),1) --write

bench: .venv/.developing  ## measure what orchestration costs, against a local server
	.venv/bin/python -m mom_council.benchmarks $(ARGS)

votes: .venv/.developing  ## measure every goal of the votes on recordings; FOLDER=... (or MOM_RECORDINGS), ARGS="--write docs/votes.md"
	.venv/bin/python -m mom_council.benchmarks.votes $(FOLDER) $(ARGS)

budgets: .venv/.developing  ## try budgets against a log of requests; make the table in docs/reliability.md again
	.venv/bin/python -m mom_council.benchmarks.budgets --runs 240 --write docs/reliability.md

house: .venv/.developing  ## print how large and how clean the code is, beside its limits
	.venv/bin/python -m mom_council.tests.house --rooms

layout: .venv/.developing  ## draw the picture of the code in docs/layout.md again
	.venv/bin/python -m mom_council.tests.house.layout

kills: .venv/.developing  ## kill so many runs at random moments (N=200), and race 40 times; make the table in docs/reliability.md again
	.venv/bin/python -m mom_council.tests.runs.kills --kills $(or $(N),200) --races 40 --write

faults: .venv/.developing  ## try every fault at every stage of a question; make the table in docs/reliability.md again
	.venv/bin/python -m mom_council.tests.graph.faults --write

reliability: .venv/.developing  ## run the tests behind docs/reliability.md and write their numbers there (PARTS="soak kills", or PARTS=--all)
	.venv/bin/python -m mom_council.tests.reliability $(PARTS)

leaks: .venv/.developing  ## search every byte that leaves or stays for keys; write it into docs/reliability.md
	.venv/bin/python -m mom_council.tests.tracing.leaks

picture: .venv/.developing  ## draw the council's graph in docs/layout.md again
	.venv/bin/python -m mom_council.tests.picture

screenshot: .venv/.developing  ## take the README's picture of the page again; needs chromium
	.venv/bin/python -m mom_council.tests.browser.screenshot docs/chat.png

recording: .venv/.developing  ## record the README's moving picture of the terminal again
	.venv/bin/python -m mom_council.tests.recording docs/demo.svg demo --quick

constraints: .venv/.developing  ## compile constraints.txt anew
	.venv/bin/uv pip compile pyproject.toml --quiet --universal --upgrade --python-version 3.11 --all-extras \
	  --group dev --group heavy --constraint <(echo "torch==2.13.0") --no-emit-index-url --no-header --no-annotate \
	  --no-emit-package mom-council --output-file constraints.txt

package: .venv/.developing  ## build the wheel into dist/
	@rm -rf build  # what lies there from before would go into the wheel, and mypy reads it
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .
	@rm -rf build

supply: .venv/.developing  ## build and install the archives into empty environments; licences, known weaknesses
	@.ci/supply

clean:  ## remove the environment and everything that was built
	rm -rf .venv .venv-newest .venv-oldest .typed build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=/path/to/python3.11")'
	@echo "Setting up .venv, once; a minute or two:"
	@echo "  1 of 3: a Python environment"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@$(PIP) install --quiet --upgrade pip
	@echo "  2 of 3: LangGraph and what mom needs beside it, about 200 MB on the disk"
	@$(PIP) install --quiet --constraint constraints.txt --editable .
	@echo "  3 of 3: the engine that runs small models here, a download of 34 MB"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[embedded]'
	@touch $@

.venv/.ui: .venv/.installed
	@echo "Adding the chat page ..."
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[embedded,ui]'
	@touch $@

.venv/.developing: .venv/.installed
	@echo "Adding what the tests need ..."
	@$(PIP) install --quiet --constraint constraints.txt --group dev
	@mkdir -p .typed && ln -sfn .. .typed/mom_council
	@touch $@

.venv/.heavy: .venv/.developing
	@echo "Adding torch, diffusers and ray ..."
	@$(PIP) install --quiet --constraint constraints.txt --group heavy
	@touch $@
