// Package deb holds the tests of the Debian packages: they are built, twice with the same
// bytes, installed in a clean Debian root, run as the unit would run them, upgraded, removed
// and purged; and the commands of the guide for the Raspberry Pi are typed there word
// by word.
package deb
