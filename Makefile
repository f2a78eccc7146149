# `make help` lists the targets. The work is done by scripts/, which need no make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FUZZTIME ?= 60s
TOOL := go tool -modfile=tools/go.mod

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./windmp, static
	CGO_ENABLED=0 go build -trimpath -o windmp ./cmd/windmp

.PHONY: test
test: ## all tests, quickly; those that need QEMU skip where there is none
	go test ./...

.PHONY: check
check: ## everything that CI checks (scripts/check)
	scripts/check

.PHONY: lint
lint: ## linters and the layering rule (.golangci.yml)
	$(TOOL) golangci-lint run

.PHONY: fmt
fmt: ## format all Go files: gofumpt, order of imports
	$(TOOL) golangci-lint fmt

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (60s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz

.PHONY: cross
cross: ## compile for linux, windows and darwin on amd64 and arm64, and for WebAssembly
	scripts/check build wasm

.PHONY: test-386
test-386: ## the tests with a 32-bit int, where 386 programs run
	scripts/check 386

.PHONY: bench
bench: ## Go benchmarks
	go test -run='^$$' -bench=. -benchmem ./...

.PHONY: race
race: ## windmp against cp, and elf2dmp if found, on a big file
	scripts/race

.PHONY: web
web: ## the page that checks dumps in the browser, into build/web
	scripts/web

.PHONY: web-package
web-package: ## its element as a package of npm, into build
	scripts/web-package

.PHONY: compare
compare: ## what this windmp does differently from OLD, a commit or a program
	go run ./scripts/compare $(OLD) HEAD

.PHONY: deps
deps: ## install the Debian packages that tests and scripts need
	scripts/deps
