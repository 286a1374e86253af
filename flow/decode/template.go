package decode

import (
	"bytes"
	"encoding/binary"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

// maxFields caps the fields of a template. Devices with 200 fields exist.
const maxFields = 1000

// templateRecords walks a set of template records (RFC 3954 5.2 and 6.1, RFC 7011
// 3.4) and yields those that are whole and sane, each cut to its exact bytes, so
// that what reads them next cannot be led astray. reason is empty for a good one;
// a bad one ends the walk when its length cannot be told.
func templateRecords(ver uint8, options bool, set []byte, yield func(id uint16, rec []byte, reason Reason)) {
	head := 4
	if options {
		head = 6
	}
	for len(set) >= 4 && !allZero(set) { // zeros are padding
		id := binary.BigEndian.Uint16(set)
		if ver == 10 && binary.BigEndian.Uint16(set[2:]) == 0 {
			yield(id, nil, reasonWithdrawal) // 4 bytes, RFC 7011 8.1
			set = set[4:]
			continue
		}
		if len(set) < head {
			break
		}
		n, size, reason := measureTemplate(ver, options, set)
		if n == 0 {
			yield(id, nil, reason)
			return
		}
		if reason == "" && id < 256 {
			reason = reasonTemplateID
		}
		if reason == "" && size == 0 {
			reason = reasonTemplateEmpty
		}
		if reason == "" && size > 0xffff {
			reason = reasonTemplateTooLong
		}
		yield(id, set[:n], reason)
		set = set[n:]
	}
	if !allZero(set) {
		yield(0, nil, reasonTemplateCut)
	}
}

// measureTemplate gives the bytes of the template record at the front of set and
// the least size of the data records that it describes. n is 0 when the record
// runs past the set.
func measureTemplate(ver uint8, options bool, set []byte) (n, size int, reason Reason) {
	at := 4
	count := int(binary.BigEndian.Uint16(set[2:]))
	switch {
	case options && ver == 9:
		scope, option := int(binary.BigEndian.Uint16(set[2:])), int(binary.BigEndian.Uint16(set[4:]))
		if scope%4 != 0 || option%4 != 0 {
			return 0, 0, reasonTemplateCut
		}
		at, count = 6, scope/4+option/4
	case options:
		at = 6
		if int(binary.BigEndian.Uint16(set[4:])) > count {
			reason = reasonTemplateScope
		}
	}
	if count > maxFields {
		reason = reasonTemplateFields
	}
	for range count {
		if at+4 > len(set) {
			return 0, 0, reasonTemplateCut
		}
		length := int(binary.BigEndian.Uint16(set[at+2:]))
		if length == variable {
			length = 1
		}
		size += length
		if ver == 10 && set[at]&0x80 != 0 {
			at += 4
		}
		at += 4
	}
	if at > len(set) {
		return 0, 0, reasonTemplateCut
	}
	return at, size, reason
}

// parseTemplate compiles one template record that templateRecords let through.
func parseTemplate(ver uint8, rec []byte, options bool) (*plan, bool) {
	fields, scopes, ok := templateFields(ver, rec, options)
	if !ok {
		return nil, false
	}
	p := compile(ver, templateIDOf(rec), fields, scopes, bytes.Clone(rec))
	p.options = options
	return p, true
}

// templateFields gives the fields of a template record, in an options template
// so many scope fields first. The scope types of v9 (RFC 3954 6.1) are no elements, but none
// of their numbers, 1 to 5, is looked for in options data.
func templateFields(ver uint8, rec []byte, options bool) (fields []netflow.Field, scopes int, ok bool) {
	b := bytes.NewBuffer(rec)
	switch {
	case !options:
		if t, err := netflow.DecodeTemplateSet(uint16(ver), b); err == nil && len(t) == 1 {
			return t[0].Fields, 0, true
		}
	case ver == 9:
		if t, err := netflow.DecodeNFv9OptionsTemplateSet(b); err == nil && len(t) == 1 {
			return append(t[0].Scopes, t[0].Options...), len(t[0].Scopes), true
		}
	default:
		if t, err := netflow.DecodeIPFIXOptionsTemplateSet(b); err == nil && len(t) == 1 {
			return append(t[0].Scopes, t[0].Options...), len(t[0].Scopes), true
		}
	}
	return nil, 0, false
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
