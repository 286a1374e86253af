// Package kafka proves the Kafka sink on a real Apache Kafka: one node in KRaft mode,
// from the artifacts that the project publishes for Maven, with a plain, a SASL and a
// TLS listener on free ports of loopback. The broker is killed in the midst of 10,000
// events and started again; kcat and a Python client, which nobody here wrote, must
// then find every one of them, in the order of each offender.
//
// TestUplink has flowsnitch behind a link of its own to the broker, which is cut and then
// loses packets.
//
// The tests are behind the build tags integration and soak (the full figures) and need Linux, a JRE from 17 on,
// Maven, kcat and Python with venv. As root on Debian they install what is missing.
// Artifacts are kept in the user's cache directory.
package kafka
