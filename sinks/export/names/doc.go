// Package names makes block lists of the domain and host names that feeds list, for resolvers
// and mail servers. [Make] takes the names one by one, keeps what passes the choice of the
// operator and what may be blocked, drops those below another one, cuts the list to a size,
// and gives a [List] with a report of what was left out.
//
// A listing takes some 50 bytes while a list is made. Of more than four for each row of the list
// those that will not be in it are dropped on the way, and never more than [most] are held.
//
// Called by cmd/internal/app; the targets for names write what it makes.
package names
