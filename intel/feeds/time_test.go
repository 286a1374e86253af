package feeds

import "time"

// referenceTime is the time at which the references of the corpus were made.
var referenceTime = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
