# What there is to do here. CI runs the same verbs; each one installs what it needs (scripts/setup-*.sh) and says so.

ENVOY ?= all

.DEFAULT_GOAL := help
.PHONY: help build image demo test check core e2e reloads containers manifests clean

help: ## list the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 26

build: ## dist/weir.wasm for Envoy, and dist/weir for this machine
	@scripts/build-wasm.sh
	@scripts/build-cli.sh

image: build ## OCI images of the wasm (two layouts) and of weir, in dist/image, without docker
	@scripts/image.sh

demo: build ## Envoy, two providers and the collector on this machine until Ctrl-C (PORT=8080; LLM=1: a real small model)
	@scripts/demo.sh

test: ## everything: check, core, e2e on Envoy 1.40, and in part on 1.36 to 1.39; the last line counts
	@scripts/test.sh

check: ## rustfmt, clippy, lengths of files, names in documents
	@scripts/check.sh

core: ## tests of core and cli, natively and (core) as WebAssembly under node
	@scripts/core.sh

e2e: build ## end-to-end tests in a real Envoy (ENVOY=1.40.0, 1.40.0-unpaused or all: whole on each, for hours)
	@scripts/e2e.sh $(ENVOY)

reproducible: ## builds weir.wasm twice, in two places, and compares (some 2 minutes)
	@scripts/reproducible.sh

containers: build ## the images, and docker-compose.yml for real in an engine of its own (root on Debian)
	@scripts/containers.sh

reloads: build ## 120 reloads under load, and what they cost in memory (some minutes; ENVOY=1.40.0)
	@WEIR_E2E_ENVOY=$(patsubst all,1.40.0,$(ENVOY)) cargo test --locked -p weir-e2e --test dynamic -- --ignored --nocapture

manifests: build ## what is rendered for Istio and Envoy Gateway against their definitions of resources (needs Go)
	@scripts/manifests.sh

clean: ## remove what was built here; downloads in ~/.cache/weir stay
	rm -rf target dist .demo

# Measuring: neither is a part of `make test`, since both want a machine that is not too busy with other things.
.PHONY: bench bench-where bench-growth soak bench-collect bench-users instructions tokens tables estimates fuzz bench-tokens

bench: ## Weir against bare Envoy: ratios, memory, targets (under 25 minutes; QUICK=1: some 3; PEERS=1: LiteLLM, MLflow); OTHER=PATH: a second wasm
	@python3 tests/bench/bench.py

bench-where: ## microseconds of Envoy's CPU per request by whose code they are spent in, sampled by perf (some 4 minutes; root)
	@command -v perf >/dev/null 2>&1 || bash -c '. scripts/lib.sh && install_packages linux-perf'
	@python3 tests/bench/where.py

bench-growth: ## 1 to 10,000 endpoints, 1 to 1,000,000 users, 1 to 10,000 open streams (some 10 minutes)
	@python3 tests/bench/growth.py

soak: ## memory over an hour of mixed load (SECONDS=600: less)
	@python3 tests/bench/soak.py $(or $(SECONDS),3600)

bench-collect: build ## what one collector on one core takes, and its page over 10 million rows (some 10 minutes; ROWS=1000000: less)
	@python3 tests/bench/collect.py

bench-users: build ## a million users through one Envoy: what its memory does, and whether every count is right (some 20 minutes; WEIR_USERS=N)
	@cargo test --locked -p weir-e2e --test limits_million -- --ignored --nocapture

instructions: ## instructions of core's hot path under callgrind, compared with the checked-in figures (about a minute)
	@scripts/instructions.sh

.PHONY: acceptance-records
acceptance-records: build ## 100,000 requests (REQUESTS=) through two Envoys, five kills and a read-only disk: each once in the tables (as root; some 5 minutes)
	@WEIR_ACCEPTANCE_REQUESTS=$(or $(REQUESTS),100000) scripts/e2e.sh $(if $(filter all,$(ENVOY)),1.40.0,$(ENVOY)) --test tables_outages

instructions-envoy: ## instructions of Envoy per request under callgrind, by whose they are: bare, do-nothing wasm, Weir (some 10 minutes)
	@python3 tests/bench/callgrind.py

# The token counter: what it is made of, and its proofs.

tokens: ## the counts of 8,405 texts, 200,000 fuzz strings and all characters against Python's tiktoken (some 5 minutes)
	@scripts/tokens.sh prove

tables: ## makes the counter's tables anew of the official ranks, and the estimator's weights of the corpus
	@scripts/tokens.sh tables

estimates: ## the estimator's errors by language
	@scripts/tokens.sh errors

fuzz: ## random strings for SECONDS (60) to the counter and to another one
	@scripts/tokens.sh fuzz $(or $(SECONDS),60)

bench-tokens: ## the counter beside tiktoken and bpe-openai, natively and in Envoy (some 10 minutes)
	@scripts/tokens.sh bench
