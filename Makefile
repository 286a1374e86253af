# What a developer types. `.ci/run` goes through lint, cross, test, race,
# integration and fuzz in this order.

GO          ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCHSTAT   ?= $(GO) run golang.org/x/perf/cmd/benchstat@latest

FUZZTIME ?= 20s
COUNT    ?= 6
BENCH    ?= ./flow/decode ./intel/lookup ./intel/match ./intel/correlate ./flow/history/recorder ./flow/history/table

# os/architecture/ARM version
PLATFORMS = linux/amd64 linux/arm64 linux/arm/7 linux/arm/6 darwin/arm64 freebsd/amd64

.PHONY: help build test race lint cross fuzz bench bench-peers bench-latency bench-month integration soak packages release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build flowsnitch and flowgen here
	CGO_ENABLED=0 $(GO) build -trimpath -o . ./cmd/...

test: ## run all tests
	$(GO) test ./...

race: ## run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -vet=off -timeout 15m ./...

lint: ## gofmt, go vet for Linux, macOS and FreeBSD, staticcheck
	@files=$$(gofmt -l .) && if [ -n "$$files" ]; then echo "run gofmt -w on:"; echo "$$files"; exit 1; fi
	$(GO) vet -tags integration ./...
	$(GO) vet -tags soak ./deploy/...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=freebsd GOARCH=amd64 $(GO) vet ./...
	$(STATICCHECK) -tags integration ./...

cross: ## build for every platform that we promise
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for p in $(PLATFORMS); do \
		set -- $$(echo $$p | tr / ' '); \
		echo "$$p"; \
		CGO_ENABLED=0 GOOS=$$1 GOARCH=$$2 GOARM=$$3 $(GO) build -o "$$dir" ./cmd/...; \
	done

fuzz: ## every fuzz target for FUZZTIME each (20s)
	.ci/fuzz $(FUZZTIME) ./...

bench: ## benchmarks of the path; keep the output of two versions and compare them with benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) $(BENCH) | tee bench.out
	@echo "compare: $(BENCHSTAT) OLD bench.out"

bench-peers: ## whole processes beside goflow2, nfcapd and a bare receive loop (Linux, minutes)
	$(GO) run ./deploy/bench

bench-latency: ## from the sending of a datagram to the receipt of its hit: hit log, Kafka, syslog (Linux, a minute)
	$(GO) test -tags soak -count=1 -timeout 9m -run TestLatency -v ./deploy/integration/kafka

bench-month: ## 30 days of history at 2,000 flows/s: bytes per row, merge, hunts (Linux, 3.5 GB of disk, minutes)
	FLOWSNITCH_MONTH=30 $(GO) test -count=1 -timeout 30m -run Month -v ./flow/history/file

integration: ## real exporters on real traffic; installs them from Debian's packages (root)
	deploy/integration/run

soak: ## the full figures, part by part, most below ten minutes (Linux, root, two hours in all)
	$(GO) test -tags soak -count=1 -timeout 10m -skip 'TestRate|TestRace' ./deploy/integration/sums
	$(GO) test -tags soak -count=1 -timeout 10m -run TestRace ./deploy/integration/sums
	$(GO) test -tags soak -count=1 -timeout 10m -run TestRate/v5 -v ./deploy/integration/sums
	$(GO) test -tags soak -count=1 -timeout 10m -run TestRate/v9 -v ./deploy/integration/sums
	$(GO) test -tags soak -count=1 -timeout 10m -v ./deploy/integration/swap
	FLOWSNITCH_KILLS=100 FLOWSNITCH_DAMAGES=20 $(GO) test -count=1 -timeout 20m -run 'Kill|Torn|Flipped' -v ./intel/incident/store ./intel/incident/intake
	$(GO) test -tags soak -count=1 -timeout 40m -v ./deploy/integration/incidents
	FLOWSNITCH_MILLION=200000 $(GO) test -count=1 -timeout 20m -run 'MillionMemory|MillionWritten' -v ./intel/incident/store
	CGO_ENABLED=1 FLOWSNITCH_OVERLAP=1m $(GO) test -race -count=1 -timeout 10m -run TestOverlaps -v ./cmd/internal/app
	$(GO) test -tags soak -count=1 -timeout 10m -run TestKill -v ./deploy/integration/intel
	FLOWSNITCH_CLIENTS=1000 $(GO) test -count=1 -timeout 10m -run TestExportManyClients -v ./cmd/internal/app
	FLOWSNITCH_NAMES=1000000 $(GO) test -count=1 -timeout 10m -run TestDrop -v ./sinks/export/names
	FLOWSNITCH_EXPORT_ENTRIES=140000 $(GO) test -tags integration -count=1 -timeout 10m -v ./deploy/integration/export
	$(GO) test -tags soak -count=1 -timeout 10m -run TestSoak -v ./deploy/integration/kafka
	$(GO) test -tags soak -count=1 -timeout 10m -run TestFull -v ./deploy/integration/kafka
	$(GO) test -tags integration,soak -count=1 -timeout 10m -run TestNodes -v ./deploy/integration/kafka
	$(GO) test -tags soak -count=1 -timeout 10m -run TestSoak -v ./deploy/integration/syslog
	$(GO) test -tags soak -count=1 -timeout 20m -run TestUplink -v ./deploy/integration/kafka
	$(GO) test -tags soak -count=1 -timeout 10m -v ./deploy/integration/power
	$(GO) test -tags soak -count=1 -timeout 10m -v ./deploy/integration/rules
	$(GO) test -tags soak -count=1 -timeout 10m -v ./deploy/integration/qemu
	$(GO) test -tags integration,soak -count=1 -timeout 20m -run TestIncidents -v ./deploy/integration/qemu
	FLOWSNITCH_SOURCES=10000000 $(GO) test -count=1 -timeout 30m -run Flood -v ./intel/detect
	$(GO) test -tags soak -count=1 -timeout 10m -run TestBytesPerDay -v ./flow/history
	$(GO) test -tags soak -count=1 -timeout 10m -v ./deploy/integration/day

# Without a tag of the form v1.2.3 the version is 0 with the number of commits. Debian
# takes no hyphen.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-/+/; s/-/./g' | grep . || \
	echo 0.0.$$(git rev-list --count HEAD)+g$$(git rev-parse --short=12 HEAD))

packages: ## the Debian packages for amd64, arm64 and armhf, into dist
	deploy/package/build "$(VERSION)" dist amd64 arm64 armhf

release: ## packages, archives for all platforms, bill of materials and sums, into an empty dist
	deploy/package/release "$(VERSION)" dist

clean: ## remove what was built
	rm -f flowsnitch flowgen bench.out
	rm -rf dist
