# The front door: every command that continuous integration runs is a target here.
# `make` alone lists them. What takes more than a line is a script in scripts/.
.DEFAULT_GOAL := help
.PHONY: help demo dev test e2e ci fmt lint doc openapi deny deny-advisories bench soak-tokens sim-tokens soak-events fuzz

help: ## Lists what can be made
	@echo 'lingpai (令牌)'
	@echo
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Builds it and plays the main job once on SQLite, step by step; stays up (Ctrl-C ends it)
	@scripts/demo.sh

dev: ## Starts service and emulator on ./data/dev with readable logs (Ctrl-C ends both)
	@scripts/dev.sh

test: ## Runs everything CI runs; installs what is missing (Debian, root); ends with one line of numbers
	@scripts/test.sh

e2e: ## Runs the end-to-end tests alone
	@scripts/test.sh e2e

ci: test ## The same as `make test`: to be green before a review

fmt: ## Formats the Rust sources
	cargo fmt --all

lint: ## Looks for faults without running anything: format, clippy, the wire on its own
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo check --locked -p lingpai-wechat

doc: ## Builds the documentation of the crates, warnings refused (target/doc)
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

openapi: ## Writes openapi/tenant.json and openapi/admin.json anew from the routes
	cargo run --locked --quiet -p lingpai-server --bin lingpai -- openapi --out openapi

deny: ## Holds the dependencies to deny.toml: bans, licences, sources (needs cargo-deny)
	cargo deny --locked --offline check bans licenses sources

deny-advisories: ## Asks the advisory database about the dependencies (needs cargo-deny and a network)
	cargo deny --locked check advisories

bench: ## Measures; prints the table of docs/benchmarks.md
	@scripts/bench.sh

soak-tokens: ## Lets real instances keep tokens under every fault, in full size (about an hour)
	@scripts/soak.sh

sim-tokens: ## Simulates a day with a million authorizers; draws docs/sim-tokens.svg (takes hours)
	@scripts/sim.sh

soak-events: ## Pushes 300 messages/s at sick endpoints, then kills instances under load (a quarter of an hour)
	@scripts/soak-events.sh

fuzz: ## Feeds every parser of strangers' bytes for a minute each (installs cargo-fuzz if missing)
	@scripts/fuzz.sh
