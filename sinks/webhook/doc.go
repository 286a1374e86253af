// Package webhook notifies people: by an HTTP request (generic JSON, or the text that
// Slack and Mattermost show) or by mail.
//
// People must not get one message per hit. An offender is reported when it first
// reaches the least severity, and again only after a day; an alert likewise. All
// that has come up meanwhile is one message, and between two messages there is
// an interval: [Hook.Send] waits for its end, the events wait in the queue, and the
// next message has all of them. So none is lost when the process dies.
//
// Text of feeds is foreign: it reaches people without control characters, and in
// Slack and Mattermost as code, where it can neither notify nor link.
package webhook
