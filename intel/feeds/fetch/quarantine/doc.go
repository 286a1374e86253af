// Package quarantine keeps the listed prefixes whose hits are rolled up because they match
// an absurd share of all flows.
package quarantine
