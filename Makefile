# clerk-sync: everything that is done with this repository. Needs Rust and Python 3; what else is
# needed is installed into .venv and .tools, at pinned versions.

.DEFAULT_GOAL := help

# Compiler flags of the caller would make every step build everything anew.
unexport RUSTFLAGS
unexport CARGO_ENCODED_RUSTFLAGS
unexport CARGO_BUILD_RUSTFLAGS

# The Python that has moto: the tests start its server.
export CLERK_SYNC_PYTHON := $(CURDIR)/.venv/bin/python

# Where the schedules of `make chaos` begin: elsewhere each time, unless it is said.
SEED := $(or $(SEED),$(shell date +%s))

.PHONY: help run run-lambda test chaos fuzz mutants test-aws measure bench package release deploy invoke logs \
	latest-views check docs-check advisories clean

help: ## what there is to do (this list)
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r goal meaning; do \
		printf '  make %-12s %s\n' "$$goal" "$$meaning"; done

run: ## one real sync, from a sandbox Clerk into ./out
	@scripts/run

run-lambda: ## the Lambda function on this machine, invoked with each file of events/
	@scripts/python-environment test lambda
	@scripts/run-lambda

test: ## all tests, and the sandbox read by Clerk's official SDKs
	@scripts/python-environment test
	@echo "Building and testing; the first build takes some minutes." >&2
	@cargo test --workspace --locked --quiet
	@sandbox/clients/run
	@python3 -m bench.measure

chaos: ## 2,000 schedules of faults in process, 200 of the real function (SEED=n: those from there)
	@scripts/python-environment test
	@scripts/chaos $(SEED)

mutants: ## plants known bugs and shows that the tests catch each, half an hour (ONLY=name: one)
	@scripts/python-environment test
	@scripts/mutants $(if $(ONLY),--only $(ONLY))

# Of each target.
SECONDS = 10
fuzz: ## every parser of outside bytes fuzzed for ten seconds (SECONDS=300 for longer)
	@scripts/fuzz --seconds $(SECONDS)

test-aws: ## the deployment as far as it can be proven without an AWS account
	@scripts/python-environment test aws
	@cargo build --workspace --bins --examples --locked --quiet
	@.venv/bin/python -B -m tests.aws $(PROOF)

measure: ## peak memory and requests of a large sync, with the release build
	@cargo build --release --workspace --bins --examples --no-default-features --locked --quiet
	@python3 -m bench.measure --release

bench: ## all benchmarks, some 25 minutes; writes docs/benchmarks.md (QUICK=1: tiny, writes nothing)
	@scripts/bench $(if $(QUICK),--quick,--output docs/benchmarks.md)

package: ## the zip for Lambda, from the release build, with its size (ARCHITECTURE=arm64 or x86_64)
	@scripts/package $(ARCHITECTURE)

release: ## zips for both architectures, with SBOM and checksums (VERIFY=1: built twice and compared)
	@scripts/release $(if $(VERIFY),--verify) $(ARCHITECTURE)

deploy: ## build and deploy to your AWS account; asks the first time (CONFIG=name: another stack)
	@scripts/python-environment lambda cross sam
	@scripts/deploy

invoke: ## the deployed function, once (EVENT=check: events/check.json)
	@scripts/python-environment test
	@.venv/bin/python scripts/deploy invoke $(or $(EVENT),check)

logs: ## the log of the deployed function, as it is written
	@scripts/python-environment sam
	@scripts/deploy logs

latest-views: ## Athena's latest_… views, of the newest snapshot (DATABASE=clerk SNAPSHOT_URL=s3://bucket/prefix)
	@scripts/python-environment test
	@.venv/bin/python scripts/latest-views $(DATABASE) $(SNAPSHOT_URL) \
		$(if $(WORKGROUP),--workgroup $(WORKGROUP)) $(if $(OUTPUT),--output $(OUTPUT))

check: ## formatting, lints, documentation, licences, the template
	@scripts/python-environment check sam checkov
	@scripts/check

docs-check: ## that the documents explain what the code and the template name, and nothing else
	@scripts/docs-check

advisories: ## known vulnerabilities of dependencies (reads the advisory database over the network)
	@scripts/cargo-tool cargo-deny check advisories

clean: ## removes everything that was built, installed or written here
	rm -rf out target .tools .venv
