// Package taxii reads the indicators of a TAXII 2.1 server, collection by collection, each
// from the time of addition that was read last (OASIS TAXII 2.1, 3.4 and 5).
package taxii
