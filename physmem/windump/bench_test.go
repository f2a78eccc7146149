package windump_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// terabytes is a bitmap dump of 1 TiB whose pages are zeros: the second half of
// every 4 MiB.
func terabytes() (head []byte, size int64) {
	const pages = 1 << 28
	d := dmp{typ: winhdr.DumpTypeBitmapFull}
	h := winhdr.BitmapDump64{
		Signature: winhdr.SignatureFDMP, BitmapSize: pages, TotalPresentPages: pages / 2,
		FirstPage: 0x2000 + 0x1000 + pages/8,
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
			_, err := physmemtest.OpenReader(fixture.Sparse{Head: head, Size: size}, size, open.Options{})
			require.NoError(b, err)
		}
	})
	b.Run("page", func(b *testing.B) {
		m, err := physmemtest.OpenReader(fixture.Sparse{Head: head, Size: size}, size, open.Options{})
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
			m, err := physmemtest.OpenReader(fixture.Sparse{Head: head, Size: size}, size, open.Options{})
			require.NoError(b, err)
			require.Len(b, m.Ranges(), 1<<18)
		}
	})
}
