// Package rulebook knows which rules there are: the shipped ones, and those of the files that
// the configuration names, which replace shipped ones of the same name. It reads the files,
// and knows of each rule whether it is on, and if not, why. A rule that is wrong does not keep
// the others from running.
package rulebook
