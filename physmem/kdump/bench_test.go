package physmem_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr"
)

// benchImage is 64 MiB of compressed memory.
func benchImage(b *testing.B, flags uint32, flat bool) *physmem.Image {
	b.Helper()
	k := kdump{version: 6, runs: []run{{0, 0x4000}}, codec: func(uint64) uint32 { return flags }}
	file := k.build()
	if flat {
		file = flatten(pieces(file, 0x4000))
	}
	m, err := openBytes(file)
	require.NoError(b, err)
	return m
}

// BenchmarkKdumpRead reads blocks of the size that a conversion reads, in as
// many goroutines as there are processors.
func BenchmarkKdumpRead(b *testing.B) {
	for name, flags := range map[string]uint32{"raw": rawPage, "zlib": zlibPage, "lzo": lzoPage, "snappy": snappyPage, "zstd": zstdPage} {
		for _, flat := range []bool{false, true} {
			if flat && flags != zlibPage {
				continue
			}
			b.Run(fmt.Sprintf("%s/flat=%v", name, flat), func(b *testing.B) {
				m := benchImage(b, flags, flat)
				const size = 1 << 20
				b.SetBytes(size)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					p := make([]byte, size)
					for at := int64(0); pb.Next(); at = (at + size) & 0x3ffffff {
						if _, err := m.ReadAt(p, at); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}

// BenchmarkKdumpSmall reads 8 bytes of each of a few pages in turn, as a walk
// of page tables does, and of a new page each time.
func BenchmarkKdumpSmall(b *testing.B) {
	for name, span := range map[string]int64{"same pages": 0x5000, "new pages": 0x3fff000} {
		b.Run(name, func(b *testing.B) {
			m := benchImage(b, zlibPage, false)
			var p [8]byte
			b.ResetTimer()
			for at := int64(0); b.Loop(); at = (at + 0x1008) % span {
				if _, err := m.ReadAt(p[:], at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKdumpOpen opens a flattened dump of as many records as QEMU writes
// for some 16 GiB of memory.
func BenchmarkKdumpOpen(b *testing.B) {
	k := kdump{version: 6, runs: []run{{0, 0x100}}}
	file := flatten(pieces(k.build(), 0x1000))
	const records = 1 << 20
	end := file[len(file)-16:]
	file = file[:len(file)-16]
	for i := range uint64(records) {
		file = binary.BigEndian.AppendUint64(file, 1<<30+32*i)
		file = binary.BigEndian.AppendUint64(file, 16)
		file = append(file, make([]byte, 16)...)
	}
	file = append(file, end...)
	b.ReportAllocs()
	for b.Loop() {
		_, err := openBytes(file)
		require.NoError(b, err)
	}
}

// terabytes is a bitmap dump of 1 TiB whose pages are zeros: the second half of
// every 4 MiB.
func terabytes() (head []byte, size int64) {
	const pages = 1 << 28
	d := dmp{typ: winhdr.DumpTypeBitmapFull}
	h := winhdr.BitmapDump64{
		Signature: winhdr.SignatureFDMP, BitmapSize: pages, TotalPresentPages: pages / 2,
		FirstPage: winhdr.Size64 + 0x1000 + pages/8,
	}
	head = append(d.header(), h.Encode()...)
	for i := range pages / 8 {
		b := byte(0)
		if i/64%2 == 1 {
			b = 0xff
		}
		head = append(head, b)
	}
	return head, int64(h.FirstPage) + pages/2*physmem.PageSize
}

// BenchmarkDMPBitmap opens a bitmap dump of 1 TiB and reads pages of it.
func BenchmarkDMPBitmap(b *testing.B) {
	head, size := terabytes()
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := physmem.New(sparse{head, size}, size)
			require.NoError(b, err)
		}
	})
	b.Run("page", func(b *testing.B) {
		m, err := physmem.New(sparse{head, size}, size)
		require.NoError(b, err)
		p := make([]byte, physmem.PageSize)
		b.SetBytes(physmem.PageSize)
		for at := int64(0x200000); b.Loop(); at = (at + 0x123400000) & (1<<40 - 1) {
			if _, err := m.ReadAt(p, at|0x200000); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ranges", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m, err := physmem.New(sparse{head, size}, size)
			require.NoError(b, err)
			require.Len(b, m.Ranges(), 1<<18)
		}
	})
}
