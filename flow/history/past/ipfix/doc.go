// Package ipfix writes flows as nfdump has printed them into IPFIX messages, as their exporter
// could have sent them. So the decoder and the recorder decide for them as for all others who
// is inside, who opened the contact, and what an answer is.
package ipfix
