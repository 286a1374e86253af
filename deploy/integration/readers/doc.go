// Package readers proves the forms and the queries on the programs that read them: JSON
// Schemas of OCSF, jq, DuckDB, ClickHouse (as chdb), and parsers of Logstash's and Splunk's
// files. All but jq come from PyPI into a virtual environment of their own; what
// cannot be had skips its test, loudly.
package readers
