package correlate

import (
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"testing"
	"unsafe"
)

func TestZZ(t *testing.T) {
	t.Log(unsafe.Sizeof(contact{}), unsafe.Sizeof(conversation.Conversation{}), unsafe.Sizeof(packedKey{}), unsafe.Offsetof(contact{}.Conversation))
}
