package migration_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// TestDIMMs: libvirt says where DIMMs are.
func TestDIMMs(t *testing.T) {
	t.Parallel()
	const end4G = 4 << 30
	stream := guest("pc-q35-9.0", 20*mib, 0, blockSize{name: "pc.ram", size: 20 * mib}, blockSize{name: "/objects/memdimm0", size: 4 * mib},
		blockSize{name: "memdimm1", size: 4 * mib})
	xml := `<domain type='kvm'><devices><disk/><memory model='dimm'><target><size unit='KiB'>4096</size></target>
<address type='dimm' slot='0' base='0x140000000'/></memory><memory model='dimm'><address type='dimm' slot='1' base='0x100000000'/></memory></devices></domain>`
	m := openAll(t, withXML("LibvirtQemudSave", 0, xml, stream))
	assert.Empty(t, m.Oddities())
	assert.Equal(t, []physmem.Range{physmem.Span(0, 20*mib), physmem.Span(end4G, end4G+4*mib), physmem.Span(end4G+1<<30, end4G+1<<30+4*mib)}, m.Ranges())
	for i, pa := range []int64{0, end4G + 1<<30, end4G} {
		b := make([]byte, 4096)
		_, err := m.ReadAt(b, pa)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(content(i, 7), b), i)
	}
	for bad, want := range map[string]string{
		"":         "one after the other",
		"no XML":   "one after the other",
		"no bases": "one after the other",
		strings.ReplaceAll(xml, "0x140000000", "0x100000"): "is left out",
	} {
		m := openAll(t, withXML("LibvirtQemudSave", 0, bad, stream))
		require.Len(t, m.Oddities(), 1)
		assert.Contains(t, m.Oddities()[0].Text, want)
	}
}

// TestDevicePages: pages of devices whose blocks have names like memory's are no DIMMs,
// alone, beside each other, and beside one.
func TestDevicePages(t *testing.T) {
	t.Parallel()
	const page = 0x1000
	tpm := []blockSize{{name: "tpm-crb-cmd", size: page}, {name: "tpm-ppi", size: page}}
	synic := []blockSize{{name: "synic-0-msg-page", size: page}, {name: "synic-0-event-page", size: page}, {name: "synic-1-msg-page", size: page}}
	for name, more := range map[string][]blockSize{
		"TPM": tpm, "TPM of TIS": tpm[1:], "SynIC": synic, "SVGA": {{name: "vmsvga.fifo", size: 16 * page}}, "all": slices.Concat(synic, tpm),
	} {
		board := blockSize{name: "pc.ram", size: 20 * mib}
		m := openAll(t, guest("pc-q35-9.0", 20*mib, 0, append([]blockSize{board}, more...)...))
		assert.Empty(t, m.Oddities(), name)
		assert.Equal(t, []physmem.Range{{Size: 20 * mib}}, m.Ranges(), name)
		m = openAll(t, guest("pc-q35-9.0", 20*mib, 0, append([]blockSize{board, {name: "dimm", size: 4 * mib}}, more...)...))
		assert.Empty(t, m.Oddities(), name)
		assert.Equal(t, []physmem.Range{{Size: 20 * mib}, {Start: 4 << 30, Size: 4 * mib}}, m.Ranges(), name)
	}
}

// TestSharedLeftOut: memory that is in the host's files is said to be.
func TestSharedLeftOut(t *testing.T) {
	t.Parallel()
	address := make([]byte, 8) // of a block in the machine
	w := writer{capabilities: []string{"x-ignore-shared"}}
	w.begin("pc-q35-9.0")
	w.start(blockSize{name: "pc.ram", size: 20 * mib, more: address}, blockSize{name: "dimm", size: 4 * mib, more: address}, blockSize{name: "tpm-ppi", size: 4096, more: address})
	w.part(true, func() {
		for i := range 4 * mib >> 12 {
			w.zero("dimm", i)
		}
	})
	w.clock(20*mib>>10, 0)
	m := openAll(t, w.end())
	require.NotEmpty(t, m.Oddities())
	assert.Equal(t, `memory that the guest shared is in files of its host, not in the stream (x-ignore-shared): "pc.ram" of 20 MiB`, m.Oddities()[0].Text)
}

// TestPlugOrder: of DIMMs without libvirt's XML, names and the stream's order tell in
// which order they were plugged in, or nothing does.
func TestPlugOrder(t *testing.T) {
	t.Parallel()
	const end4G = 4 << 30
	for name, tt := range map[string]struct {
		dimms []blockSize // in the stream's order, by size
		at    []int64     // offset from 4 GiB of each, MiB; none if they are left out
	}{
		"numbers":                   {[]blockSize{{name: "mem-dimm2", size: 8 * mib}, {name: "mem-dimm0", size: 4 * mib}, {name: "mem-dimm10", size: 2 * mib}}, []int64{4, 0, 12}},
		"numbers and order":         {[]blockSize{{name: "d3", size: 4 * mib}, {name: "d7", size: 4 * mib}}, []int64{0, 4}},
		"numbers against order":     {[]blockSize{{name: "d7", size: 4 * mib}, {name: "d3", size: 4 * mib}}, nil},
		"one size":                  {[]blockSize{{name: "here", size: 4 * mib}, {name: "there", size: 4 * mib}}, []int64{0, 4}},
		"nothing":                   {[]blockSize{{name: "here", size: 4 * mib}, {name: "there", size: 2 * mib}}, nil},
		"numbers of different kind": {[]blockSize{{name: "a0", size: 4 * mib}, {name: "b1", size: 2 * mib}}, nil},
		"a number twice":            {[]blockSize{{name: "a01", size: 4 * mib}, {name: "a1", size: 2 * mib}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := openAll(t, guest("pc-q35-9.0", 20*mib, 0, append([]blockSize{{name: "pc.ram", size: 20 * mib}}, tt.dimms...)...))
			require.Len(t, m.Oddities(), 1)
			if tt.at == nil {
				assert.Contains(t, m.Oddities()[0].Text, "is left out")
				assert.Len(t, m.Ranges(), 1)
				return
			}
			assert.Contains(t, m.Oddities()[0].Text, "plugged in one after the other")
			for i, at := range tt.at {
				b := make([]byte, 4096)
				_, err := m.ReadAt(b, end4G+at*mib)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(content(i+1, 7), b), i)
			}
		})
	}
}
