// Package taxii proves the TAXII source on a server that nobody here wrote: medallion,
// the reference of OASIS, from PyPI. Indicators are added to it page over page, get a
// newer version, are revoked and expire, and the table must follow.
//
// The test is behind the build tag integration and needs Python with venv and a way
// to PyPI; as root on Debian it installs what is missing. The server is kept in the
// user's cache directory.
package taxii
