// Package otx reads the pulses that an AlienVault OTX account is subscribed to: first all of
// them, page by page, then what has changed since. It is one way of package source to read a
// feed and owns no state of its own; the runner of a feed with an OTX preset calls it.
package otx
