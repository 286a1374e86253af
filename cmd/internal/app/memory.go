package app

import "runtime/metrics"

// A MemoryStatus is what the process itself takes, by the Go runtime's own figures, so
// that an emulator around it is not counted.
type MemoryStatus struct {
	InUse      uint64 `json:"in_use" name:"memory_bytes" help:"Memory of the process as counted by the Go runtime." show:"always" words:""` // bytes mapped and not given back to the system
	Goroutines uint64 `json:"goroutines" name:"-" show:"always"`
}

// memoryStatus looks when asked; nothing is counted in between.
func memoryStatus() MemoryStatus {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(s)
	return MemoryStatus{InUse: s[0].Value.Uint64() - s[1].Value.Uint64(), Goroutines: s[2].Value.Uint64()}
}
