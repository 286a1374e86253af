package file

import (
	"sync"

	"github.com/klauspost/compress/zstd"
	parquetzstd "github.com/parquet-go/parquet-go/compress/zstd"
)

// window is how far back the compressor looks, in bytes. Pages are smaller; only the texts of
// a dictionary are not. Its own choice of 8 MB would cost 16 MB of memory for those.
const window = 256 << 10

// A codec compresses pages with a small window. It reads pages as that of parquet-go does.
type codec struct {
	parquetzstd.Codec
	encoders sync.Pool
}

func newCodec(level zstd.EncoderLevel) *codec {
	c := new(codec)
	c.encoders.New = func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level),
			zstd.WithWindowSize(window), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(err) // the options are right
		}
		return e
	}
	return c
}

// Encode compresses a page into to, which it may replace.
func (c *codec) Encode(to, page []byte) ([]byte, error) {
	e := c.encoders.Get().(*zstd.Encoder)
	defer c.encoders.Put(e)
	return e.EncodeAll(page, to[:0]), nil
}

// The codecs keep encoders for use again.
var (
	fast   = newCodec(zstd.SpeedFastest)
	normal = newCodec(zstd.SpeedDefault)
)
