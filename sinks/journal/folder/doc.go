// Package folder is the directory of one lane of the journal. It owns the lock that keeps
// other processes out, the check that the directory is still the one that was opened, the
// removal of files, the dates of files, and what is wrong with the disk now. What is in the
// files is the business of packages segment and position, which share the folder; package
// journal opens it.
package folder
