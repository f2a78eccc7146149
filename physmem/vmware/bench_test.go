package vmware_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/physmem/internal/fixture"
)

// suspended are the files of a guest with 16 MiB of memory, by where it keeps that.
func suspended(b *testing.B) map[string]folder {
	b.Helper()
	ranges := []physmem.Range{{Size: 12 << 20}, {Start: 1 << 32, Size: 4 << 20}}
	im := physmem.NewImage("test", physmem.NewSource("", bytes.NewReader(nil), 0), &physmem.Container{
		Memory: extents.New(bytes.NewReader(fixture.Pattern(0, 16<<20)), []physmem.Extent{{Range: ranges[0]}, {Range: ranges[1], Offset: 12 << 20}}),
	})
	list := map[string]folder{}
	for name, v := range map[string]coretest.VMware{"beside": {Regions: ranges}, "embedded": {Regions: ranges, Embedded: true}} {
		list[name] = pair(v.Write(b, im, cpus()))
	}
	return list
}

// BenchmarkOpen goes through the groups and tags of the state.
func BenchmarkOpen(b *testing.B) {
	for name, files := range suspended(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := files.image(b.Context(), "win.vmss"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for name, files := range suspended(b) {
		b.Run(name, func(b *testing.B) {
			m, err := files.image(b.Context(), "win.vmss")
			require.NoError(b, err)
			fixture.ReadBlocks(b, m)
		})
	}
}
