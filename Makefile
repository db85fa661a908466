# Everything that a person or CI does here, by name. It knows commands only: no stack, function or table.
#
# No dependency is compiled twice between the local builds: the functions, the CLI, `sam build`, the tests. Cargo reuses
# a crate only if all of these are equal, so LOCAL fixes them for every command below:
#   target folder  cargo-lambda always passes --target <host>, which puts things into target/<host>/release;
#                  CARGO_BUILD_TARGET makes plain cargo do so too.
#   flags          cargo-lambda adds `-C target-cpu=…` through build.rustflags; RUSTFLAGS, even empty, replaces that.
#   linker         cargo-lambda links with zig, whose path is part of what cargo compares, and sets CC for build scripts;
#                  CARGO_LAMBDA_COMPILER=cargo uses the host's. Only what goes to AWS must run on an older glibc.
#   profile        always release, without LTO. Cargo.toml must set strip, lto, codegen-units and panic itself, or
#                  cargo-lambda sets them, above these variables; panic must be unwind, or tests get their own copy.
#   features       cargo unites features over the selected packages: always the whole workspace, so no `-p`, and no
#                  default-members. A dev-dependency must not add a feature to a crate that the functions use.
# `sam build` then finds every function ready. `make deploy` leaves LOCAL out: zig, thin LTO, opt-level 3.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

NAME ?= run
STAGE ?= dev
PORT ?= 0
ORDERS ?= 300
TENANTS ?= 6
TENANT ?= acme
KILLS ?= 0
FUZZ_SECONDS ?= 20
FUZZ ?= $(basename $(notdir $(wildcard tests/fuzz/fuzz_targets/*.rs)))
ARCHITECTURE ?= arm64

MUTANTS := 27.1.0
DENY := 0.20.2
TOOLS := .venv/tools
ASKED := .local/asked
LINES ?= "crash sweep" "message orders" "pairs of faults" seeds events mishaps "distinct traces" "the median run" \
	"never reached" "model states" "known bugs" fuzz
PYTHON := $(TOOLS)/bin/python
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
HOST_ARCHITECTURE := $(if $(filter aarch64%,$(HOST)),arm64,x86_64)
LOCAL := CARGO_LAMBDA_COMPILER=cargo CARGO_BUILD_TARGET=$(HOST) RUSTFLAGS= \
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1
PLANTED := towpath-aws/planted,sim/planted,model/planted,fuzz/planted
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help run test catalogue proof asked soak traps planted build crates venvs up token env down status deploy dev lint tidy rules expanded deny drill alarms rehearse chaos conformance numbers new fuzz seeds adopt mutants fixture

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## the whole pipeline on this machine, with traffic and its proof (ENDPOINT=http://… an emulator that is there, KILLS=10 functions killed, ORDERS, TENANTS, NAME)
ifdef ENDPOINT
	@$(PYTHON) tests/local/stack.py deploy --name $(NAME) --stage $(STAGE) --endpoint $(ENDPOINT)
else
	@$(PYTHON) tests/local/stack.py down --name $(NAME)
	@$(PYTHON) tests/local/stack.py up --name $(NAME) --stage $(STAGE) --port $(PORT)
endif
	@$(PYTHON) tests/local/traffic.py --name $(NAME) --orders $(ORDERS) --tenants $(TENANTS) \
		--kills $(KILLS) --cli target/$(HOST)/release/towpath

# Each kind of test, and of the random ones as many runs as fit before a coffee is cold: `make proof` and `make chaos` ask for
# all of them.
test: export TOWPATH_SEEDS ?= 4000
test: export TOWPATH_PAIRS ?= 16000
test: build lint ## lint, then every kind of test but those that take hours (soak, mutants) or measure (numbers)
	$(PYTHON) -m unittest discover --start-directory tests/local
	@$(MAKE) --no-print-directory catalogue ARGS=--check
	@rm -rf $(ASKED) && mkdir -p $(ASKED)
	$(LOCAL) cargo test --release --workspace | tee $(ASKED)/1-proof
	@$(MAKE) --no-print-directory planted
	$(LOCAL) $(PYTHON) tests/local/planted.py --features $(PLANTED)
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5 | tee $(ASKED)/3-fuzz
	@$(MAKE) --no-print-directory chaos ARGS="--only 'all at once'"
	@$(MAKE) --no-print-directory rehearse
	@$(MAKE) --no-print-directory conformance
	@$(MAKE) --no-print-directory adopt
	@$(MAKE) --no-print-directory asked

catalogue: crates ## schemas and pages from the types, what a change breaks, producers' samples against consumers' handlers (ARGS=--check writes nothing)
	@target/$(HOST)/release/catalogue generate $(ARGS)
	@target/$(HOST)/release/towpath catalogue check
	@target/$(HOST)/release/catalogue contract-tests $(ARGS)
	@target/$(HOST)/release/towpath catalogue docs $(ARGS)

proof: crates ## what is asked of the proof, and what it reaches: sweeps, seeds, states, known bugs, bytes (SEED=17 tells one run)
ifdef SEED
	@target/$(HOST)/release/proof seed $(SEED)
else
	@rm -rf $(ASKED) && mkdir -p $(ASKED)
	@$(LOCAL) cargo test --release --workspace --test proof --test worlds | tee $(ASKED)/1-proof
	@$(MAKE) --no-print-directory planted
	@$(MAKE) --no-print-directory fuzz | tee $(ASKED)/3-fuzz
	@$(MAKE) --no-print-directory asked
endif

asked: # the table of what was asked and reached, from what the tests above printed
	@printf '\n   %-16s %-42s reached\n' '' asked
	@grep -h '^[✓✗]' $(ASKED)/*
	@for line in $(LINES); do grep -hq "^✓  $$line" $(ASKED)/* || { echo "not shown, or not met: $$line"; exit 1; }; done

soak: ## hours of it: a million seeds, 200,000 pairs of faults, a million inputs for each fuzz target, then make mutants
	@rm -rf $(ASKED) && mkdir -p $(ASKED)
	@TOWPATH_SEEDS=1000000 TOWPATH_PAIRS=500000 \
		$(LOCAL) cargo test --release --workspace --test proof --test worlds | tee $(ASKED)/1-proof
	@$(MAKE) --no-print-directory fuzz FUZZ_RUNS=1000000 | tee $(ASKED)/3-fuzz
	@$(MAKE) --no-print-directory planted
	@$(MAKE) --no-print-directory asked
	@$(MAKE) --no-print-directory mutants

traps: ## the simulator's known bugs, put back one by one: which promise finds it, after how many seeds (TOWPATH_PLANTED=21 some)
	@$(LOCAL) cargo test --release --workspace --features $(PLANTED) --test planted every_planted

fixture: ## write the read models of tests/sim/fixture anew, after a fold was changed on purpose
	@$(LOCAL) TOWPATH_FIXTURE=rows cargo test --release --workspace --test fixture

planted:
	$(LOCAL) cargo test --release --workspace --features $(PLANTED) \
		--test planted --test prove --test rebuild --test timers --test limits --test usage --test corpus | tee $(ASKED)/2-planted

# Changed crates are built in a folder of their own, which begins with what is compiled already: a changed crate must never be
# taken for one of ours, so what was built there of the crates that are changed is thrown away first.
mutants: crates $(TOOLS)/made .venv/mutants/$(MUTANTS) ## change the core's rules in every small way: do the tests see it? (SHARD=3/30 a part of it)
	@[ -d target/mutants ] || { mkdir target/mutants && cp -a target/release target/$(HOST) target/mutants/; }
	@$(LOCAL) cargo clean --quiet --release --target-dir target/mutants -p towpath -p towpath-aws
	@$(LOCAL) CARGO_TARGET_DIR=$(CURDIR)/target/mutants $(PYTHON) tests/local/mutants.py $(if $(SHARD),--shard $(SHARD))

.venv/mutants/$(MUTANTS):
	@echo "installing cargo-mutants $(MUTANTS) into .venv/mutants"
	@cargo install --quiet --locked cargo-mutants --version $(MUTANTS) --root .venv/mutants
	@touch $@

build: ## the functions and the CLI for this machine
	@$(MAKE) --no-print-directory -j3 crates venvs
	@echo "packing the functions (sam build)"
	@$(LOCAL) sam build --parameter-overrides Architecture=$(HOST_ARCHITECTURE) > .aws-sam/build.log 2>&1 || { cat .aws-sam/build.log; exit 1; }

crates:
	@mkdir -p .aws-sam
	@echo "building with cargo (the first time: every dependency)"
	@$(LOCAL) cargo build --release --workspace --bins

venvs: $(TOOLS)/made .venv/emulator/made
	@: # a recipe, or make says that there is nothing to be done

.venv/%/made: tests/local/requirements-%.txt
	@echo "installing $< into .venv/$*"
	@python3 -m venv --clear .venv/$*
	@.venv/$*/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

up: build ## the stack without traffic (NAME=mine, PORT=4566)
	@$(PYTHON) tests/local/stack.py up --name $(NAME) --stage $(STAGE) --port $(PORT)
	@$(PYTHON) tests/local/hints.py --name $(NAME) status drill down

token: ## a token of one tenant for an hour, from the local issuer (TENANT=acme, NAME)
	@$(PYTHON) tests/local/tokens.py --name $(NAME) --tenant $(TENANT)

env: ## what makes towpath and aws of your shell mean the stack that is up: eval "$(make env)" (NAME)
	@$(PYTHON) tests/local/hints.py --name $(NAME) --env

down: ## stop the emulator and everything it started
	@$(PYTHON) tests/local/stack.py down --name $(NAME)

status: ## what each consumer has applied (ARGS='--watch', ARGS='--json')
	@target/$(HOST)/release/towpath status --stack-file .local/$(NAME)/stack.json $(ARGS)

drill: venvs ## break something on purpose at a stack that is up: docs/when-something-fails.md (ARGS=--mend puts it right)
	@$(PYTHON) tests/local/drill.py --name $(NAME) $(ARGS)

alarms: venvs ## which alarms of a local stack ring, as CloudWatch would say on AWS: docs/runbooks
	@$(PYTHON) tests/local/alarms.py --name $(NAME)

# All alarms are made to ring first: who has heard one before is not told again. Then the drill's ring and end by what is measured.
rehearse: build ## make every alarm ring and end, and type every line of the runbooks, on a stack of its own; a misspelt metric is found; every command asks for what it says
	@$(PYTHON) tests/local/stack.py down --name rehearse
	@$(PYTHON) tests/local/stack.py up --name rehearse --stage $(STAGE) --port 0
	@wrong=0; { $(PYTHON) tests/local/traffic.py --name rehearse --orders 24 --tenants 2 --cli target/$(HOST)/release/towpath && \
		$(PYTHON) tests/local/drill.py --name rehearse && $(PYTHON) tests/local/rehearse.py --name rehearse --cli target/$(HOST)/release/towpath && \
		$(PYTHON) tests/local/ring.py rings --name rehearse && \
		$(PYTHON) tests/local/access.py --name rehearse --cli target/$(HOST)/release/towpath && \
		$(PYTHON) tests/local/walk.py --name rehearse --cli target/$(HOST)/release/towpath && \
		$(PYTHON) tests/local/ring.py ends --name rehearse; } || wrong=$$?; \
		$(PYTHON) tests/local/stack.py down --name rehearse; exit $$wrong

chaos: build .venv/faults/made ## break the deployed functions' calls in nine ways, and check every row
	@$(PYTHON) tests/local/chaos.py --cli target/$(HOST)/release/towpath $(ARGS)

conformance: crates venvs ## ask the simulator's model and an emulator what AWS does, and compare with the list of known deviations (ENDPOINT=http://… that one, ENDPOINT=aws AWS itself, ARGS=--json)
ifdef ENDPOINT
	@target/$(HOST)/release/conformance --endpoint $(ENDPOINT) $(ARGS)
else
	@$(PYTHON) tests/local/stack.py down --name conformance >&2
	@endpoint=$$($(PYTHON) tests/local/stack.py emulator --name conformance); wrong=0; \
		target/$(HOST)/release/conformance --endpoint $$endpoint $(ARGS) || wrong=$$?; \
		$(PYTHON) tests/local/stack.py down --name conformance >&2; exit $$wrong
endif

numbers: build ## measure what is promised in numbers: requests, write units, memory, dollars at rest
	@$(PYTHON) tests/local/stack.py down --name numbers
	@$(PYTHON) tests/local/stack.py up --name numbers --stage dev --port 0
	@missed=0; target/$(HOST)/release/numbers --stack-file .local/numbers/stack.json || missed=$$?; \
		$(PYTHON) tests/local/stack.py down --name numbers; exit $$missed

dev: venvs ## run one consumer from the terminal: make dev FN=inventory
	@$(LOCAL) $(PYTHON) tests/local/dev.py --name $(NAME) $(or $(FN),$(error say which function: make dev FN=inventory))

new: crates ## a fresh repository with another small domain: make new DIR=../tickets (ARGS='--git URL --tag TAG')
	@target/$(HOST)/release/towpath new $(ARGS) $(or $(DIR),$(error say where: make new DIR=../tickets))

fuzz: ## give bytes that nobody has thought of to every decoder and to a consumer's machine, 20 s each (FUZZ=envelope only that one, FUZZ_SECONDS, FUZZ_RUNS=1000000 inputs instead)
	@echo "building the fuzz targets (only this repository's crates: the others are those of make build)"
	@$(LOCAL) RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tests/fuzz/instrument.sh cargo build --release --workspace \
		--features fuzz/libfuzzer $(FUZZ:%=--bin %)
	@tests/fuzz/run.sh target/$(HOST)/release "$(if $(FUZZ_RUNS),-runs=$(FUZZ_RUNS),-max_total_time=$(FUZZ_SECONDS))" $(FUZZ)

seeds: ## write the inputs that fuzzing begins with, after a format has changed
	@$(LOCAL) cargo build --release --workspace --example seeds
	@target/$(HOST)/release/examples/seeds

adopt: build ## do what README.md says to an adopter, literally, in copies
	$(PYTHON) tests/adopt/adopt.py

tidy: venvs ## only the rules of this repository: layers, words, templates
	@$(LOCAL) cargo test --release --workspace --test tidy

rules: $(if $(PROMISES),build,crates venvs) deny .venv/rules/made ## every rule of security, with what keeps it: linters, towpath doctor, cargo-deny, tests of bad input (PROMISES=1 runs those too that need a pipeline)
	@PROMISES=$(PROMISES) $(PYTHON) tests/local/rules.py target/$(HOST)/release/towpath $(LOCAL)

deny: .venv/deny/$(DENY) ## install cargo-deny, once: make rules runs it
	@: # a recipe, or make says that there is nothing to be done

.venv/deny/$(DENY):
	@echo "installing cargo-deny $(DENY) into .venv/deny"
	@cargo install --quiet --locked cargo-deny --version $(DENY) --root .venv/deny
	@touch $@

expanded: venvs ## the template as CloudFormation sees it, in .local/expanded.json: for towpath doctor --template
	@$(PYTHON) tests/local/expand.py .local/expanded.json

lint: venvs ## format, clippy, the types of the Python tools, and the template as written and as expanded
	cargo fmt --all --check
	$(LOCAL) cargo clippy --release --workspace --all-targets -- -D warnings
	mypy --config-file tests/local/mypy.ini
	cfn-lint template.yaml infra/*.yaml
	$(PYTHON) tests/local/expand.py .local/expanded.json
	cfn-lint --ignore-checks W3002 -- .local/expanded.json # W3002: its nested stacks are files here

deploy: venvs crates ## build for AWS and show what would change there, with your own credentials (ISSUER=https://… AUDIENCE=… whose tokens the API takes, STAGE=prod YES=1 does it, PARAMETERS='Lanes=4')
	target/$(HOST)/release/towpath catalogue check --released
	@$(PYTHON) tests/local/stages.py $(STAGE) > /dev/null
	sam build --build-dir .aws-sam/aws --parameter-overrides Architecture=$(ARCHITECTURE)
	sam deploy --template-file .aws-sam/aws/template.yaml --config-file $(CURDIR)/samconfig.toml --no-execute-changeset \
		--config-env $(STAGE) --parameter-overrides $$($(PYTHON) tests/local/stages.py $(STAGE)) Architecture=$(ARCHITECTURE) $(PARAMETERS) \
		TokenIssuer=$(or $(ISSUER),$(error say whose tokens the API takes: make deploy ISSUER=https://… AUDIENCE=…)) \
		TokenAudience=$(or $(AUDIENCE),$(error say for whom the tokens are: make deploy ISSUER=https://… AUDIENCE=…))
	target/$(HOST)/release/towpath changes towpath-$(STAGE) $(if $(YES),--yes)
