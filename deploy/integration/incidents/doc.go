// Package incidents runs the tests of the store of incidents and of its intake on a
// PostgreSQL server of their own, which is stopped and started while events come.
//
// The tests are behind the build tags integration and soak and need Linux, root and the
// Debian package postgresql. With soak the server is away for ten
// minutes, and what incidents write in a day is measured.
package incidents
