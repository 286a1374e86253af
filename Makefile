# What a developer types. `.ci/run` goes through lint, cross, test, race,
# integration and fuzz in this order.

GO          ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCHSTAT   ?= $(GO) run golang.org/x/perf/cmd/benchstat@latest

FUZZTIME ?= 20s
COUNT    ?= 6
BENCH    ?= ./flow/decode ./intel ./intel/correlate

.PHONY: help build test race lint cross fuzz bench bench-peers integration clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build flowsnitch and flowgen into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

test: ## run all tests
	$(GO) test ./...

race: ## run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## gofmt, go vet for Linux, macOS and FreeBSD, staticcheck
	@files=$$(gofmt -l .) && if [ -n "$$files" ]; then echo "run gofmt -w on:"; echo "$$files"; exit 1; fi
	$(GO) vet -tags integration ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=freebsd $(GO) vet ./...
	$(STATICCHECK) -tags integration ./...

cross: ## build for every platform that we promise, vet for 32 bits
	@set -e; for p in linux/amd64 linux/arm64 linux/arm/7 linux/arm/6 linux/386 darwin/amd64 darwin/arm64 freebsd/amd64; do \
		set -- $$(echo $$p | tr / ' '); \
		echo "$$p"; \
		CGO_ENABLED=0 GOOS=$$1 GOARCH=$$2 GOARM=$$3 $(GO) build -trimpath -o "dist/$$(echo $$p | tr / -)/" ./cmd/...; \
	done
	GOARCH=386 $(GO) vet ./...

fuzz: ## every fuzz target for FUZZTIME each (20s)
	.ci/fuzz $(FUZZTIME) ./...

bench: ## benchmarks of the path; keep the output of two versions and compare them with benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) $(BENCH) | tee bench.out
	@echo "compare: $(BENCHSTAT) OLD bench.out"

bench-peers: ## whole processes beside goflow2, nfcapd and a bare receive loop (Linux, minutes)
	$(GO) run ./deploy/bench

integration: ## real exporters on real traffic; installs them from Debian's packages (root)
	deploy/integration/run

clean: ## remove what was built
	rm -rf bin dist bench.out
