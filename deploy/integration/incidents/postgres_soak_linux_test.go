//go:build soak

package incidents

import "time"

func init() { away = 10 * time.Minute }
