// Package kafka proves the Kafka sink on a real Apache Kafka in KRaft mode, from the
// artifacts that the project publishes for Maven, with plain, SASL and TLS listeners on
// free ports of loopback. One node, then one of three, is killed in the midst of events;
// kcat, a Python client and the consumers of sinks/README.md, which nobody here wrote, must
// then find every one of them, in the order of each offender, with every compression.
//
// One instance has a sink for each thing that can be wrong between it and the brokers.
// Each is reported once, in log and status, and can be repaired without a restart.
//
// TestUplink has flowsnitch behind a link of its own to the broker, which is cut and then
// loses packets.
//
// The tests are behind the build tags integration and soak (the full figures) and need Linux, a JRE from 17 on,
// Maven, kcat and Python with venv. As root on Debian they install what is missing.
// Artifacts are kept in the user's cache directory.
package kafka
