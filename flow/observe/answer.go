package observe

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Unavailable is the reason why a request cannot be met now, but may be later.
type Unavailable string

// Error gives the reason.
func (u Unavailable) Error() string { return string(u) }

// A Failure is the answer to a request that cannot be met.
type Failure struct {
	Error string `json:"error"`
}

// Fail answers with the text of an error: status 503 for an [Unavailable], else 400.
func Fail(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if _, ok := errors.AsType[Unavailable](err); ok {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	Answer(w, status, Failure{err.Error()})
}

// JSON answers requests with what f gives, or with its error as [Fail] does.
func JSON(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := f(r)
		if err != nil {
			Fail(w, err)
			return
		}
		Answer(w, http.StatusOK, answer)
	})
}

// Answer answers with a status and a value in JSON, which is not to be cached.
func Answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone: there is nobody to report to
}
