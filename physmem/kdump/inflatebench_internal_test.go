package kdump

import (
	"bytes"
	stdzlib "compress/zlib"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/require"

	"windmp/internal/binio"
	"windmp/internal/guestpages"
	"windmp/physmem"
)

// zlibPages are the pages of 32 MiB of guest memory that zlib makes smaller, as
// QEMU packs them (dump/dump.c: Z_BEST_SPEED).
var zlibPages = sync.OnceValue(func() [][]byte {
	var (
		list [][]byte
		page [physmem.PageSize]byte
		b    bytes.Buffer
	)
	w, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	if err != nil {
		panic(err)
	}
	for n := range uint64(8192) {
		guestpages.Fill(page[:], n)
		b.Reset()
		w.Reset(&b)
		_, _ = w.Write(page[:]) // to memory
		_ = w.Close()
		if b.Len() < physmem.PageSize && !binio.IsZero(page[:]) {
			list = append(list, bytes.Clone(b.Bytes()))
		}
	}
	return list
})

// BenchmarkInflate inflates pages on all processors and does nothing else: the
// bound of reading a kdump-compressed file. The bytes are those of the guest.
func BenchmarkInflate(b *testing.B) {
	pages := zlibPages()
	each := func(b *testing.B, decode func() func(dst, src []byte) error) {
		b.Helper()
		b.SetBytes(int64(len(pages)) * physmem.PageSize)
		for b.Loop() {
			var group sync.WaitGroup
			n := runtime.GOMAXPROCS(0)
			for i := range n {
				group.Go(func() {
					f, dst := decode(), make([]byte, physmem.PageSize)
					for _, src := range pages[i*len(pages)/n : (i+1)*len(pages)/n] {
						if err := f(dst, src); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
		}
	}
	b.Run("codec", func(b *testing.B) {
		each(b, func() func(dst, src []byte) error {
			c := new(pageCodec)
			return c.inflate
		})
	})
	b.Run("compress/zlib", func(b *testing.B) {
		each(b, func() func(dst, src []byte) error {
			var r bytes.Reader
			r.Reset(pages[0])
			z, err := stdzlib.NewReader(&r)
			require.NoError(b, err)
			return func(dst, src []byte) error {
				r.Reset(src)
				if err := z.(stdzlib.Resetter).Reset(&r, nil); err != nil { //nolint:forcetypeassert,errcheck // the package says so
					return err
				}
				if _, err := io.ReadFull(z, dst); err != nil {
					return err
				}
				_, err := io.Copy(io.Discard, z) // up to the checksum
				return err
			}
		})
	})
}
