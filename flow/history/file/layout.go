package file

import (
	"hash/crc32"

	"github.com/parquet-go/parquet-go"
)

// A layout is a row as it is written: its fields are the columns of a file, in their order. Rows are sorted by outside_key, then
// by the address of inside (not by its text), protocol, port, exporter, site, direction.
type layout struct {
	Outside    string   `parquet:"outside,dict"` // as people write it: IPv4 without ::ffff:
	OutsideKey [16]byte `parquet:"outside_key,plain"`
	Inside     string   `parquet:"inside,dict"` // * in a folded row
	Protocol   uint8    `parquet:"protocol,dict"`
	Port       uint16   `parquet:"port,dict"`     // of the responder; 0 = none
	Exporter   string   `parquet:"exporter,dict"` // empty = unknown
	Site       string   `parquet:"site,dict"`     // empty = none
	Direction  uint8    `parquet:"direction,dict"`
	Flags      uint8    `parquet:"flags,dict"` // 1 answered, 2 refused, 4 blocked, 8 clock not synchronised
	First      int64    `parquet:"first,delta,timestamp(millisecond)"`
	Duration   uint32   `parquet:"duration,plain"` // seconds from the first to the last flow
	Flows      uint32   `parquet:"flows,delta"`
	PacketsOut uint64   `parquet:"packets_out,delta"`
	PacketsIn  uint64   `parquet:"packets_in,delta"`
	BytesOut   uint64   `parquet:"bytes_out,delta"`
	BytesIn    uint64   `parquet:"bytes_in,delta"`
	Sampling   uint32   `parquet:"sampling,dict"`
	Hours      uint32   `parquet:"hours,plain"`
	Folded     uint32   `parquet:"folded,dict"`
}

var schema = parquet.SchemaOf(layout{})

// everyone is the inside address of a folded row.
const everyone = "*"

// The version is written into each file. A reader refuses one that it does not know.
const (
	schemaVersion = "1"
	schemaNumber  = 1
)

// Keys of the metadata of a file.
const (
	keySchema  = "flowsnitch.schema"
	keyProgram = "flowsnitch.program"
	keyHome    = "flowsnitch.home"
	keyLost    = "flowsnitch.lost"
	keyFolded  = "flowsnitch.folded"
	keyInputs  = "flowsnitch.inputs" // names, one a line
	keyID      = "flowsnitch.id"     // a number at random, so that no two files are equal
	keySums    = "flowsnitch.sums"   // CRC-32C of each block of the body, little endian, in base64
	keyBody    = "flowsnitch.body"   // size of the body in bytes, 16 hexadecimal digits
)

const (
	// blockSize is how many bytes of the body one sum covers. A search reads whole blocks.
	blockSize = 16 << 10
	// maxTail bounds what is read, and held, before it is known to be undamaged.
	maxTail = 32 << 20

	pageServer, pageEdge   = 64 << 10, 16 << 10 // bytes before compression
	groupServer, groupEdge = 262_144, 65_536    // rows
	groupLarge, largeFile  = 1_048_576, 16_000_000
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
