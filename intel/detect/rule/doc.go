// Package rule defines what a correlation rule is and reads rules from YAML.
//
// The words are those of Sigma's correlations, specification 2.1: title, name, level,
// correlation with type, rules, group-by, timespan and condition, generate. What Sigma takes
// from a log source is over: hits, which are the events of the journal, or contacts, which
// are the rows of the history. What Sigma calls detection is where: fields and the values that
// they must have. Beside event_count, value_count, value_sum, temporal and temporal_ordered
// there are three types of our own: lockstep, regular and rise.
//
// A document has one rule, a file any number of documents. Reading is strict: an unknown key,
// field or value is an error with line and column, and so is a condition that always or never
// holds. Nothing here counts; that is package window and the engine in package detect.
package rule
