// Package readers proves the forms, the queries and the settings on the programs that read
// them: JSON Schemas of OCSF, jq, DuckDB, ClickHouse (as chdb), Vector's compiler, Splunk's
// AppInspect, and parsers of Logstash's and Splunk's files. All but jq come from PyPI into
// virtual environments of their own; what cannot be had skips its test, loudly.
package readers
