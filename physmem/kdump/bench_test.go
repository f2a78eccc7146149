package kdump_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// benchImage is 64 MiB of compressed memory.
func benchImage(b *testing.B, flags uint32, flat bool) *physmem.Image {
	b.Helper()
	k := kdump{version: 6, runs: []run{{0, 0x4000}}, codec: func(uint64) uint32 { return flags }}
	file := k.build()
	if flat {
		file = flatten(pieces(file, 0x4000))
	}
	m, err := physmemtest.Open(file)
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
		_, err := physmemtest.Open(file)
		require.NoError(b, err)
	}
}
