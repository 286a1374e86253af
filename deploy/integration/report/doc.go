// Package report proves that the HTML report prints: a real browser without any network makes a
// PDF of it, whose text is that of the report. The test is behind the build tag integration,
// and is skipped with a message where Chromium or poppler-utils are not installed: the script of the
// integration tests does not install a browser.
package report
