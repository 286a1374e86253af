// Package match has the taps that look at the addresses of flow records: [Matcher] finds
// those that are listed, [Asking] hands those that are not to whoever looks them up
// elsewhere, and [Transit] samples whether flows have an end of ours.
package match
