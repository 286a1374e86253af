package row

// A Source is where sorted rows come from: a file or a table that is being merged with others.
type Source interface{ Head() *Row }

// Heapify makes a heap of sources, each of which has a row: that with the least is first.
func Heapify[S Source](heap []S) {
	for i := len(heap)/2 - 1; i >= 0; i-- {
		Down(heap, i)
	}
}

// Down puts the source at i of a heap, which has come to another row, in its place.
func Down[S Source](heap []S, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if Compare(heap[child].Head(), heap[least].Head()) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}
