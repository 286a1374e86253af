// Package platforms reads the JSON of threat intelligence platforms and providers: STIX, MISP,
// AlienVault OTX, ThreatFox, and the lists of the Feodo Tracker, AbuseIPDB and SANS ISC. The
// table of formats in package feeds calls it.
package platforms
