// Package jsonwalk walks through a JSON document of any length without holding more than one
// row of it, and counts what is not of the type that a format has in its place. [Text] and
// [Words] take a value of any type, as providers change their minds. The formats in JSON use
// it.
package jsonwalk
