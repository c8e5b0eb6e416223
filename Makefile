# Everything you can do with this repository. Needs Rust, Python 3, a C compiler and make; everything else is installed
# into .venv and .tools, at pinned versions.

.DEFAULT_GOAL := help

# Compiler flags from the environment would make every step rebuild everything.
unexport RUSTFLAGS
unexport CARGO_ENCODED_RUSTFLAGS
unexport CARGO_BUILD_RUSTFLAGS

# The Python that has moto, whose server the tests start.
export CLERK_SYNC_PYTHON := $(CURDIR)/.venv/bin/python

# The first seed of `make chaos`: different each time, unless it is set.
SEED := $(or $(SEED),$(shell date +%s))

.PHONY: help run install run-lambda test chaos fuzz mutants test-aws live measure bench package release test-release deploy invoke logs \
	check docs docs-check advisories clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r goal meaning; do \
		printf '  make %-12s %s\n' "$$goal" "$$meaning"; done

run: ## copy a synthetic Clerk into ./out twice, and ask what changed
	@scripts/run

install: ## build both programs and copy them into ~/.cargo/bin (PREFIX=folder: into PREFIX/bin)
	@scripts/install

run-lambda: ## run the Lambda function on this machine, with each file of events/
	@scripts/python-environment test lambda
	@scripts/run-lambda

test: ## run all tests; official clients also read the synthetic Clerk and ask clerk-access
	@scripts/requires rust python
	@scripts/python-environment test
	@echo "Building and testing; the first build takes a few minutes." >&2
	@cargo test --workspace --locked --quiet
	@crates/sandbox/clients/run
	@crates/access/clients/run
	@scripts/docs-check --run
	@python3 -m bench.measure

chaos: ## run 2,000 schedules of faults in process and 200 of the real function (SEED=n: the first seed)
	@scripts/python-environment test
	@scripts/chaos $(SEED)

mutants: ## plant known bugs and check that the tests catch each; half an hour (ONLY=name: one bug)
	@scripts/python-environment test
	@scripts/mutants $(if $(ONLY),--only $(ONLY))

# For each target.
SECONDS = 10
fuzz: ## fuzz every parser of outside input for ten seconds each (SECONDS=300: longer)
	@scripts/fuzz --seconds $(SECONDS)

test-aws: ## test the deployment as far as possible without an AWS account
	@scripts/python-environment test aws terraform lambda cross release sam
	@cargo build --workspace --bins --examples --locked --quiet
	@.venv/bin/python -B -m tests.aws $(PROOF)

live: ## ask a live Clerk what the tests take for granted; only reads (CLERK_SECRET_KEY: a development instance's)
	@scripts/requires python
	@scripts/live

measure: ## check peak memory and requests of a large sync, with the release build
	@scripts/build-measured
	@python3 -m bench.measure --release

bench: ## run all benchmarks and write docs/benchmarks*.md; an hour (QUICK=1: tiny, writes nothing)
	@scripts/bench $(if $(QUICK),--quick,--write docs)

package: ## build the zip for Lambda and print its size (ARCHITECTURE=arm64 or x86_64)
	@scripts/requires rust python
	@scripts/package $(ARCHITECTURE)

release: ## build everything of a release into target/release-<version> (VERIFY=1: build twice and compare)
	@scripts/requires rust python
	@scripts/python-environment test lambda cross release
	@.venv/bin/python scripts/release $(if $(VERIFY),--verify) $(ARCHITECTURE)

test-release: ## install from the archive for this machine into an empty root, and run the demo there (ARCHIVE=file)
	@scripts/requires python
	@scripts/test-release $(ARCHIVE)

deploy: ## build and deploy to your AWS account; asks three things the first time (CONFIG=name: another stack)
	@scripts/requires rust python
	@scripts/python-environment test lambda cross sam
	@.venv/bin/python scripts/deploy

invoke: ## invoke the deployed function once (EVENT=check: with events/check.json)
	@scripts/python-environment test
	@.venv/bin/python scripts/deploy invoke $(or $(EVENT),check)

logs: ## follow the log of the deployed function
	@scripts/python-environment sam
	@scripts/deploy logs

check: ## check formatting, lints, documentation, licences and the template
	@scripts/python-environment check docs terraform sam checkov
	@scripts/check

docs: ## build the docs as a site in target/site
	@scripts/python-environment docs
	@.venv/bin/mkdocs build --config-file scripts/site/mkdocs.yml
	@echo "target/site/index.html (for its search: python3 -m http.server --directory target/site)"

docs-check: ## check that the docs explain exactly what the code and the template contain
	@scripts/docs-check

advisories: ## check dependencies for known vulnerabilities (needs the network)
	@scripts/cargo-tool cargo-deny check advisories

clean: ## remove everything that was built, installed or written here
	rm -rf out target .tools .venv
