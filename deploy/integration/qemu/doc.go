// Package qemu proves the binaries for the Raspberry Pi: cross-built for ARMv6, ARMv7 and
// arm64, each run by qemu-user as the processor of a Pi, with the edge profile. A real
// exporter sends NetFlow v9 and IPFIX, the hits arrive in the hit log and in Kafka, and the
// memory with large sets keeps to what is promised.
//
// The tests are behind the build tags integration and soak (1,000,000 indicators, and incidents).
package qemu
