// Package otx reads the pulses that an AlienVault OTX account is subscribed to.
package otx
