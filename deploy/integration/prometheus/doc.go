// Package prometheus lets a real Prometheus scrape the real binary over TLS with a token,
// by the scrape configuration and the alert rules of deploy/prometheus. Then wires are
// pulled: a sink's server, the exporter, the process. Each time the alert that is meant
// for it fires, and ends when all is OK again. promtool, Prometheus' own checker, reads
// the files and a scrape.
//
// The tests are behind the build tag integration; deploy/integration/run installs
// Prometheus from Debian's packages.
package prometheus
