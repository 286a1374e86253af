// Package collect runs the path of flow records: a [Worker] owns a source, mostly a UDP
// socket, decodes what it reads and hands each set of records to its taps.
package collect
