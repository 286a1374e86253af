package enrich

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxCached is how many records of a database are kept as they were decoded. When they are
// reached it begins anew.
const maxCached = 2048

// A database is one file in memory. It is used by one goroutine at a time.
type database struct {
	path   string
	file   fs.FileInfo // as it was read
	data   []byte      // see reserve
	reader *maxminddb.Reader
	has    content
	cache  map[uintptr]Place // by the place of the record
}

// A content is what has been found in a database.
type content struct {
	records     int // looked at
	country, as bool
}

// String names what it has: "country", "AS", "country and AS"; empty = that is not known.
func (c content) String() string {
	switch {
	case c.country && c.as:
		return "country and AS"
	case c.country:
		return "country"
	case c.as:
		return "AS"
	}
	return ""
}

// fewRecords is how many records without country and AS make a database one of something else.
const fewRecords = 16

// same reports whether a file is still the one of an earlier look.
func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// open reads a database of at most most bytes. One that is damaged, or being written, is an
// error. A pipe or a device is none, and is not waited for.
func open(path string, most int64) (db *database, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a file")
	case info.Size() == 0:
		return nil, errors.New("is empty")
	case info.Size() > most:
		return nil, fmt.Errorf("has %d bytes, and enrich.max_bytes leaves %d", info.Size(), max(0, most))
	}
	data, err := reserve(int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("no memory for %d bytes: %w", info.Size(), err)
	}
	defer func() {
		if err != nil {
			release(data)
		}
	}()
	if _, err = io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("was cut short while it was read: %w", err)
	}
	if now, err := f.Stat(); err != nil || !same(info, now) {
		return nil, errors.New("is being written")
	}
	reader, has, err := parse(data, probes)
	if err == nil && has.records >= fewRecords && !has.country && !has.as {
		err = fmt.Errorf("has neither countries nor AS (it is a %s)", plain(reader.Metadata.DatabaseType))
	}
	if err != nil {
		return nil, err
	}
	return &database{path: path, file: info, data: data, reader: reader, has: has, cache: make(map[uintptr]Place)}, nil
}

// probes is how many addresses of each family are looked up in a new database.
const probes = 4096

// parse checks a database, by its frame and by addresses all over it: what is
// half old and half new has wrong pointers in many places.
func parse(data []byte, probes uint32) (r *maxminddb.Reader, has content, err error) {
	// Strings are decoded once a record (see cache): one more cache would only take memory.
	if r, err = maxminddb.OpenBytes(data, maxminddb.DisableStringCache()); err != nil {
		return nil, has, fmt.Errorf("is damaged, or no database of the MaxMind format: %w", err)
	}
	if m := r.Metadata; m.BinaryFormatMajorVersion != 2 || m.NodeCount == 0 {
		return nil, has, fmt.Errorf("has format %d and %d nodes; format 2 is known", m.BinaryFormatMajorVersion, m.NodeCount)
	}
	for i := range probes {
		a := binary.BigEndian.AppendUint32(nil, uint32(uint64(i)<<32/uint64(probes))+i)
		v4, _ := netip.AddrFromSlice(a)
		addrs := []netip.Addr{v4}
		if r.Metadata.IPVersion == 6 { // what is given out of 2000::/3
			v6 := [16]byte{0x20 | a[0]>>4, a[0]<<4 | a[1]>>4, a[1]<<4 | a[2]>>4, a[2]<<4 | a[3]>>4}
			addrs = append(addrs, netip.AddrFrom16(v6))
		}
		for _, addr := range addrs {
			result := r.Lookup(addr)
			p, err := decode(result)
			if err != nil {
				return nil, has, fmt.Errorf("is damaged: %s: %w", addr, err)
			}
			if result.Found() {
				has.records++
				has.country, has.as = has.country || p.Country != "", has.as || p.ASNumber != 0
			}
		}
	}
	return r, has, nil
}

// built is when its data were put together.
func (db *database) built() time.Time { return db.reader.Metadata.BuildTime() }

// lookup gives what the database has of an address.
func (db *database) lookup(a netip.Addr) (Place, error) {
	if a.Is6() && db.reader.Metadata.IPVersion == 4 {
		return Place{}, nil
	}
	r := db.reader.Lookup(a)
	if !r.Found() {
		return Place{}, r.Err()
	}
	if p, ok := db.cache[r.Offset()]; ok {
		return p, nil
	}
	p, err := decode(r)
	if err != nil {
		return Place{}, err
	}
	if len(db.cache) == maxCached {
		clear(db.cache)
	}
	db.cache[r.Offset()] = p
	return p, nil
}

// close gives its memory back.
func (db *database) close() {
	_ = db.reader.Close()
	release(db.data)
}
