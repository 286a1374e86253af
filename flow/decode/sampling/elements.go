package sampling

import "math"

// Elements collects the elements that make up one sampling rate.
type Elements struct {
	interval               uint64  // 34, 50
	packets, space         uint64  // 305, 306
	size, population       uint64  // 309, 310
	probability            float64 // 311
	has34, has305, has306  bool
	has309, has310, has311 bool
}

// IsElement names the elements that say how many packets were seen.
func IsElement(ie uint16) bool {
	switch ie {
	case 34, 50, 305, 306, 309, 310, 311:
		return true
	}
	return false
}

// Add takes the value of one element, which was width bytes wide (311: a float32 or
// float64).
func (r *Elements) Add(ie uint16, v uint64, width int) {
	if ie == 311 {
		switch width {
		case 4:
			r.probability, r.has311 = float64(math.Float32frombits(uint32(v))), true
		case 8:
			r.probability, r.has311 = math.Float64frombits(v), true
		}
		return
	}
	switch ie {
	case 34, 50:
		if !r.has34 || r.interval == 0 {
			r.interval, r.has34 = v, true
		}
	case 305:
		r.packets, r.has305 = v, true
	case 306:
		r.space, r.has306 = v, true
	case 309:
		r.size, r.has309 = v, true
	case 310:
		r.population, r.has310 = v, true
	}
}

// Rate works out one of how many packets was seen: 34 or 50; (305+306)/305;
// 310/309; 1/311. announced is false when the elements are absent; the rate is 0
// when what they say is absurd.
func (r *Elements) Rate() (rate uint32, announced bool) {
	switch {
	case r.has34:
		return believable(float64(r.interval)), true
	case r.has305 && r.has306:
		return believable(float64(r.packets+r.space) / float64(r.packets)), true
	case r.has309 && r.has310:
		return believable(float64(r.population) / float64(r.size)), true
	case r.has311:
		return believable(1 / r.probability), true
	}
	return 0, false
}

// believable rounds a rate, and gives 0 for one that cannot be.
func believable(f float64) uint32 {
	f = math.Round(f)
	if !(f >= 1 && f <= MaxRate) {
		return 0
	}
	return uint32(f)
}
