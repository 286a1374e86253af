// Package hostname reads the domain and host names of threat lists: as they are written
// there, or as the hosts of URLs, in one spelling, and only those that are names of the DNS.
// Names that stand for more than one owner, such as co.uk, are recognised.
package hostname
