// Package guard decides whether a new copy of a feed may be used without a word of the
// operator: by the document itself, its size against the last one, the space that it
// covers, and how much of it is new.
package guard
