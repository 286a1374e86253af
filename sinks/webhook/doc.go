// Package webhook notifies people: by an HTTP request (generic JSON, the text that Slack and
// Mattermost show, or what a template makes of it) or by mail.
//
// People must not get one message per hit. They hear of an offender when it first reaches the
// least severity, when it gets worse, and otherwise only after a day; of an alert likewise.
// All that has come up meanwhile is one message, and between two messages there is an
// interval. A message names the most severe and counts the others.
//
// What waits for the end of the interval is held: the journal keeps it until the message is
// delivered, so none is lost when the process dies. What was reported is in a file of package
// reported, so that a restart does not repeat everything.
//
// Text of feeds is foreign: it reaches people without control characters, and where the
// reader's program would take it for a mention, a link or a format, as code. Listings that may
// not leave by their TLP label stay in, and with them everything that was made of them.
package webhook
