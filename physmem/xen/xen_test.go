package xen_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/physmem/xen"
)

// state are the registers of a processor, each with a value of its own.
func state(i int, rip uint64) physmem.CPU {
	n := uint64(i) << 8
	x := &physmem.X86{
		Rax: 0xa0 | n, Rbx: 0xb0 | n, Rcx: 0xc0 | n, Rdx: 0xd0 | n, Rsi: 0x51 | n, Rdi: 0xd1 | n, Rsp: 0xfffff80000001000 | n, Rbp: 0xb1 | n,
		R8: 8 | n, R9: 9 | n, R10: 10 | n, R11: 11 | n, R12: 12 | n, R13: 13 | n, R14: 14 | n, R15: 15 | n,
		Rip: rip, Rflags: 0x246,
		CS: physmem.Segment{Selector: 0x10, Flags: 0x209b00}, DS: physmem.Segment{Selector: 0x2b, Limit: ^uint32(0), Flags: 0xc0f300},
		ES: physmem.Segment{Selector: 0x2b, Limit: ^uint32(0), Flags: 0xc0f300}, FS: physmem.Segment{Selector: 0x53, Limit: 0x3c00, Flags: 0x40f300, Base: 0x7000 | n},
		GS: physmem.Segment{Selector: 0x2b, Limit: ^uint32(0), Flags: 0xc0f300, Base: 0xfffff80000010000 | n}, SS: physmem.Segment{Selector: 0x18, Flags: 0x409300},
		TR: physmem.Segment{Selector: 0x40, Limit: 0x67, Flags: 0x8b00, Base: 0xfffff80000020000 | n}, LDT: physmem.Segment{},
		GDT: physmem.Segment{Limit: 0x57, Base: 0xfffff80000030000 | n}, IDT: physmem.Segment{Limit: 0xfff, Base: 0xfffff80000040000 | n},
		HasSystem: true, CR0: 0x80050033, CR2: 0x2000 | n, CR3: 0x1ad000 | n, CR4: 0x370678,
		KernelGSBase: 0x7ff000 | n, HasKernelGSBase: true,
	}
	return coretest.WithAll([]physmem.CPU{{Index: i, ID: uint32(i), Registers: x}})[0]
}

// guest is a small one, with two processors and holes, of which the second was in
// user mode.
func guest() *coretest.Xen {
	second := state(1, 0x7ff612345678)
	x := *physmem.X86Of(second)
	x.CS.Selector, x.GS.Base, x.KernelGSBase = 0x33, x.KernelGSBase, x.GS.Base
	second.Registers = &x
	w := &coretest.Xen{CPUs: []physmem.CPU{state(0, 0xfffff80041c00000), second}, Unused: 3, Around: 4, Batch: 8}
	for _, r := range guestRuns {
		for i := range r.PageCount {
			w.Pages = append(w.Pages, page(r.BasePage+i, 0))
		}
	}
	return w
}

var guestRuns = []physmem.Run{{BasePage: 0, PageCount: 5}, {BasePage: 8, PageCount: 20}, {BasePage: 0x100000, PageCount: 3}}

// page is a page of the pattern, spoiled if it is to be written again.
func page(frame uint64, spoil byte) coretest.XenPage {
	b := fixture.Pattern(frame<<12, physmem.PageSize)
	for i := range b {
		b[i] ^= spoil
	}
	return coretest.XenPage{Frame: frame, Data: b}
}

func openXen(t *testing.T, file []byte) *physmem.Image {
	t.Helper()
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	require.Equal(t, physmem.FormatXen, m.Format())
	return m
}

// oddities are those of an image, but that XenServer's files were not tried.
func oddities(m *physmem.Image) []physmem.OddityKind {
	return slices.DeleteFunc(fixture.Kinds(m), func(k physmem.OddityKind) bool { return k == physmem.OddityUntried })
}

// forms are the files of a guest, by their kinds.
func forms(g *coretest.Xen) map[string][]byte {
	return map[string][]byte{"core": g.Core(), "save": g.Save(), "libxl": g.Libxl(), "libxc": g.Libxc(), "libvirt": g.Libvirt(), "xenops": g.Xenops()}
}

// TestForms: memory and registers are read of all that Xen's tools write.
func TestForms(t *testing.T) {
	t.Parallel()
	g := guest()
	for name, file := range forms(g) {
		m := openXen(t, file)
		assert.Empty(t, oddities(m), name)
		assert.Equal(t, physmem.MachineX64, m.Machine(), name)
		require.NoError(t, physmemtest.Test(m, fixture.AsRanges(guestRuns), fixture.PatternAt), name)
		if name != "core" { // whose tables lie at its end
			require.NoError(t, physmemtest.Grows(file), name)
		}
		require.Len(t, m.CPUs(), 2, name)
		for i, c := range m.CPUs() {
			want := *physmem.X86Of(g.CPUs[i])
			if name == "core" {
				want = *asInCore(&want)
			}
			assert.Equal(t, &want, c.Registers, "%s, vCPU %d", name, i)
			assert.Equal(t, i, c.Index)
		}
	}
	assert.Equal(t, `saved Xen guest (xl save) "win11" of Xen 4.17, 28 pages, 2 CPUs`, openXen(t, g.Save()).Describe())
	assert.Equal(t, physmem.State{Product: "Xen", Version: "Xen 4.17", Guest: "win11"}, openXen(t, g.Save()).State())
	assert.Equal(t, physmem.State{Product: "Xen", Version: "Xen 4.17.5"}, openXen(t, g.Core()).State())
	assert.Equal(t, "Xen core (xl dump-core) of Xen 4.17.5, 28 pages, 2 CPUs", openXen(t, g.Core()).Describe())
	assert.Equal(t, "saved Xen guest (XenServer, XCP-ng) of Xen 4.17, 28 pages, 2 CPUs", openXen(t, g.Xenops()).Describe())
}

// asInCore are the registers that a core has of a processor.
func asInCore(x *physmem.X86) *physmem.X86 {
	out := *x
	for _, s := range []*physmem.Segment{&out.CS, &out.DS, &out.ES, &out.SS} {
		*s = physmem.Segment{Selector: s.Selector}
	}
	for _, s := range []*physmem.Segment{&out.FS, &out.GS} {
		*s = physmem.Segment{Selector: s.Selector, Base: s.Base}
	}
	out.LDT, out.TR, out.GDT, out.IDT = physmem.Segment{}, physmem.Segment{}, physmem.Segment{}, physmem.Segment{}
	out.MSR, out.NoTables = nil, true
	return &out
}

// TestNumbers: vCPUs of a saved state have their own numbers; without any that ran
// 64-bit code they are 32-bit ones.
func TestNumbers(t *testing.T) {
	t.Parallel()
	g := guest()
	g.CPUs[0].ID, g.CPUs[1].ID = 5, 2
	m := openXen(t, g.Save())
	assert.EqualValues(t, 5, m.CPUs()[0].ID)
	assert.EqualValues(t, 2, m.CPUs()[1].ID)
	for i := range g.CPUs {
		x := *physmem.X86Of(g.CPUs[i])
		msr := *x.MSR
		msr.EFER = 0x800
		x.MSR, x.FX = &msr, nil
		x.Rip, x.Rsp, x.GS.Base, x.KernelGSBase, x.FS.Base, x.CS.Selector = 0x80400000, 0x80500000, 0, 0, 0x80600000, 8
		g.CPUs[i].Registers = &x
	}
	for name, file := range forms(g) {
		m := openXen(t, file)
		assert.Equal(t, physmem.MachineX86, m.Machine(), name)
		for _, c := range m.CPUs() {
			x := physmem.X86Of(c)
			assert.True(t, x.Is32)
			assert.Nil(t, x.FX, "the FPU was never used")
			assert.EqualValues(t, uint32(0x80600000), x.KernelFS())
		}
	}
	// One that was reset beside one that runs a 64-bit kernel is no 32-bit one.
	g.CPUs[1] = state(1, 0xfffff80041c00000)
	for name, file := range forms(g) {
		assert.Equal(t, physmem.MachineX64, openXen(t, file).Machine(), name)
	}
	g.CPUs = nil
	for name, file := range forms(g) {
		m := openXen(t, file)
		assert.Empty(t, m.CPUs(), name)
		assert.Empty(t, m.Machine(), name)
	}
}

// TestAnyOrder: pages come in any order, and in a stream several times.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	g := guest()
	slices.Reverse(g.Pages)
	for name, file := range forms(g) {
		m := openXen(t, file)
		assert.Empty(t, oddities(m), name)
		require.NoError(t, physmemtest.Test(m, fixture.AsRanges(guestRuns), fixture.PatternAt), name)
		if name != "core" { // whose tables lie at its end
			require.NoError(t, physmemtest.Grows(file), name)
		}
	}
	// In a stream the last one counts, in a core the first.
	right := slices.Clone(g.Pages)
	var wrong []coretest.XenPage
	for _, p := range right {
		if p.Frame%3 != 0 {
			wrong = append(wrong, page(p.Frame, 0x55), page(p.Frame, 0xaa))
		}
	}
	g.Pages = slices.Concat(wrong, right)
	m := openXen(t, g.Save())
	assert.Empty(t, m.Oddities())
	require.NoError(t, physmemtest.Test(m, fixture.AsRanges(guestRuns), fixture.PatternAt))
	g.Pages = slices.Concat(right, wrong)
	m = openXen(t, g.Core())
	assert.Equal(t, []physmem.OddityKind{physmem.OddityConflict}, fixture.Kinds(m))
	require.NoError(t, physmemtest.Test(m, fixture.AsRanges(guestRuns), fixture.PatternAt))
}

// TestCutCore: a core that is cut has lost the table of its pages, and says so.
func TestCutCore(t *testing.T) {
	t.Parallel()
	file := guest().Core()
	for cut := 0; cut < len(file); cut += 331 {
		_, err := physmemtest.Open(file[:cut])
		require.Error(t, err, "%#x", cut)
		if cut < 0x210 {
			continue // it may be any ELF file
		}
		var format *physmem.FormatError
		require.ErrorAs(t, err, &format)
		assert.Equal(t, physmem.FormatXen, format.Format)
		require.NotNil(t, format.Cut)
		assert.Contains(t, err.Error(), "the file is cut: ")
	}
}

// TestCutSave: what there is of a stream that is cut is used.
func TestCutSave(t *testing.T) {
	t.Parallel()
	for name, file := range forms(guest()) {
		if name == "core" {
			continue
		}
		first := bytes.Index(file, page(0, 0).Data)
		whole := openXen(t, file)
		for cut := 0; cut < len(file); cut += 499 {
			m, err := physmemtest.Open(file[:cut])
			if cut < first+1 {
				require.Error(t, err, "%s %#x", name, cut)
				continue
			}
			require.NoError(t, err, "%s %#x", name, cut)
			if bytes.HasPrefix(file[cut-min(cut, 200):], file[len(file)-200:]) {
				continue
			}
			held := m.Ranges()
			for _, r := range held {
				assert.Empty(t, whole.Missing(r))
				b := make([]byte, min(r.Size, 64))
				_, err := m.ReadAt(b, int64(r.End()-uint64(len(b))))
				require.NoError(t, err)
				assert.Equal(t, fixture.Pattern(r.End()-uint64(len(b)), uint64(len(b))), b)
			}
		}
	}
	file := guest().Libxc()
	m := openXen(t, file[:len(file)-3000])
	assert.Equal(t, []physmem.OddityKind{physmem.OddityTruncated, physmem.OddityCPU}, fixture.Kinds(m))
	assert.Contains(t, m.Cut(), "the file is cut: it ends after ")
}

var le = binary.LittleEndian

// sectionAt is where the core has the header of a section, in Xen's order.
func sectionAt(i int) int { return 64 + 64*i }

// put32 changes a number of a file.
func put32(at int, v uint32) func(b []byte) { return func(b []byte) { le.PutUint32(b[at:], v) } }
func put64(at int, v uint64) func(b []byte) { return func(b []byte) { le.PutUint64(b[at:], v) } }

// TestOddCore: what is odd is told, and what is there is used.
func TestOddCore(t *testing.T) {
	t.Parallel()
	file := guest().Core()
	frames := int(le.Uint64(file[sectionAt(6)+24:]))
	for _, c := range []struct {
		what   string
		change func(b []byte)
		want   string
	}{
		{"another count", put64(0x230, 77), "count: the core has room for 31 pages, numbers for 31, and its header counts 77: 31 are used"},
		{"fewer numbers", put64(sectionAt(6)+32, 8*28), "count: the core has room for 31 pages, numbers for 28"},
		{"fewer pages", put64(sectionAt(5)+32, 28<<12), "count: the core has room for 28 pages, numbers for 31"},
		{"a magic of nobody's", put64(0x220, 0xf00dffab), "note-skipped: the header note does not say"},
		{"a newer format", put64(0x760, 2), "note-skipped: the core is of version 2 of the format"},
		{"a note past its end", put32(0x214, 1<<31), "note-skipped: a note goes past the end"},
		{"a short header note", put32(0x214, 8), "note-skipped: the header note has 8 bytes, not 32"},
		{"notes elsewhere", put64(sectionAt(2)+24, 1<<62), "note-skipped: the notes can't be read"},
		{"a page that can't be", put64(frames+8*30, 1<<40), "bad-segment: 1 page number above the 52 bits"},
		{"processors of another size", put64(sectionAt(3)+56, 0xab8), "note-skipped: .xen_prstatus has entries of 2744 bytes"},
		{"processors elsewhere", put64(sectionAt(3)+24, 1<<62), "cpu: the file holds 0 of the 2 processors"},
	} {
		b := bytes.Clone(file)
		c.change(b)
		m := openXen(t, b)
		require.NotEmpty(t, m.Oddities(), c.what)
		assert.Contains(t, m.Oddities()[0].String(), c.want, c.what)
		require.NoError(t, physmemtest.Test(m, fixture.AsRanges(guestRuns), fixture.PatternAt), c.what)
	}
}

// TestRefusedCore: what is no core of a Windows guest is named.
func TestRefusedCore(t *testing.T) {
	t.Parallel()
	file := guest().Core()
	names := int(le.Uint64(file[sectionAt(1)+24:]))
	frames := int(le.Uint64(file[sectionAt(6)+24:]))
	rename := func(old, name string) func(b []byte) {
		return func(b []byte) { copy(b[names+bytes.Index(b[names:], []byte(old)):], name+"\x00") }
	}
	for _, c := range []struct {
		what   string
		change func(b []byte)
		want   string
	}{
		{"paravirtual", put64(0x220, 0xf00febed), "a core of a paravirtual Xen guest"},
		{"paravirtual, by its table", rename(".xen_pfn", ".xen_p2m"), "a core of a paravirtual Xen guest"},
		{"large pages", put64(0x238, 0x200000), "xen: header note: page size at file offset 0x220: got 0x200000, want 0x1000"},
		{"no table", rename(".xen_pfn", ".xen_pf"), "there is no section .xen_pfn"},
		{"an empty table", put64(sectionAt(6)+32, 0), "there is no section .xen_pfn"},
		{"a table behind the end", put64(sectionAt(6)+24, 1<<62), "none of them is a page that the file holds"},
		{"pages behind the end", put64(sectionAt(5)+24, 1<<63), "none of them is a page that the file holds"},
		{"no page", func(b []byte) { copy(b[frames:], bytes.Repeat([]byte{0xff}, 28*8)) }, "none of them is a page that the file holds"},
		{"no pages by name", rename(".xen_pages", ".xen_page"), "not xen: an ELF core without sections of Xen's"},
		{"many sections", func(b []byte) { le.PutUint16(b[60:], 65) }, "not xen: neither"},
		{"sections elsewhere", put64(40, 1<<63), "not xen: neither"},
		{"names elsewhere", put64(sectionAt(1)+24, 1<<63), "before the table that says which page is where"},
		{"names of no section", func(b []byte) { le.PutUint16(b[62:], 7) }, "before the table that says which page is where"},
		{"another machine", func(b []byte) { le.PutUint16(b[18:], 183) }, "an ELF core of an Arm machine without program headers, as Xen writes them"},
		{"no core", func(b []byte) { b[16] = 2 }, "an ELF executable"},
	} {
		b := bytes.Clone(file)
		c.change(b)
		_, err := physmemtest.Open(b)
		require.Error(t, err, c.what)
		assert.Contains(t, err.Error(), c.want, c.what)
	}
}

// TestOddSave: what is odd in a stream is told, and what is there is used.
func TestOddSave(t *testing.T) {
	t.Parallel()
	file := guest().Libxc()
	state := bytes.Index(file, append([]byte{9, 0, 0, 0}, le.AppendUint32(nil, uint32(stateSize))...)) + 8
	cpu := state + 8 + 24
	for _, c := range []struct {
		what   string
		change func(b []byte)
		cpus   int
		want   string
	}{
		{"a type of the future", put32(40, 0x20), 2, "limit: a record of a type that is not known"},
		{"a vCPU twice", func(b []byte) { le.PutUint16(b[cpu+8+1032+2:], 0) }, 1, "cpu: vCPU 0 is there again"},
		{"a vCPU of few bytes", put32(cpu+4, 0x10), 0, "cpu: a vCPU's record has 16 bytes"},
		{"a record past the end", put32(cpu+4, 1<<31), 0, "cpu: a record of the machine's state has 2147483648 bytes"},
		{"no vCPU", func(b []byte) { b[cpu] = 0 }, 0, "cpu: the stream holds no registers"},
		{"no state", put32(state-8, 12), 0, "cpu: the stream holds no registers"},
	} {
		b := bytes.Clone(file)
		c.change(b)
		m := openXen(t, b)
		require.NotEmpty(t, m.Oddities(), c.what)
		assert.Contains(t, m.Oddities()[0].String(), c.want, c.what)
		assert.Len(t, m.CPUs(), c.cpus, c.what)
		require.NoError(t, physmemtest.Test(m, fixture.AsRanges(guestRuns), fixture.PatternAt), c.what)
	}
	// A record that need not be known.
	b := bytes.Clone(file)
	put32(40, 1<<31|0x20)(b)
	assert.Empty(t, openXen(t, b).Oddities())
}

// stateSize is the size of the machine's state of guest.
const stateSize = 8 + 24 + 2*(8+1032) + 8 + 8 + 2*(8+240) + 8

// TestRefusedSave: what is no saved state of a Windows guest is named.
func TestRefusedSave(t *testing.T) {
	t.Parallel()
	save, libxc, xenops, libvirt := guest().Save(), guest().Libxc(), guest().Xenops(), guest().Libvirt()
	libxl := bytes.Index(save, []byte("LibxlFmt"))
	stream := bytes.Index(save, []byte("XENF")) - 8
	pages := bytes.Index(libxc, page(0, 0).Data) - 8*12 - 16
	require.EqualValues(t, 1, libxc[pages])
	for _, c := range []struct {
		what   string
		file   []byte
		change func(b []byte)
		want   string
	}{
		{"other byte order", save, put32(0x20, 0x04030201), "a big-endian host"},
		{"legacy", save, put32(0x24, 1), "Xen 4.5 or older"},
		{"flags of the future", save, put32(0x24, 7), "a saved Xen guest with flags (7)"},
		{"a long configuration", save, put32(0x2c, 1<<31), "xen: configuration of the guest"},
		{"a short configuration", save, put32(0x2c, 8), "xen: header of libxl's stream"},
		{"libxl, big-endian", save, func(b []byte) { b[libxl+15] = 1 }, "a big-endian host"},
		{"libxl, legacy", save, func(b []byte) { b[libxl+15] = 2 }, "Xen 4.5 or older"},
		{"libxl, another version", save, func(b []byte) { b[libxl+11] = 3 }, "libxl stream is of version 3"},
		{"libxl, ended", save, func(b []byte) { b[libxl+16] = 0 }, "got its end, want libxc's stream before it"},
		{"libxl, a record without end", save, func(b []byte) { b[libxl+16] = 2; put32(libxl+20, 1<<31)(b) }, "xen: record of libxl's stream"},
		{"libxc elsewhere", save, func(b []byte) { b[stream] = 0 }, "xen: header of libxc's stream"},
		{"libxc, big-endian", libxc, func(b []byte) { b[17] = 1 }, "a big-endian host"},
		{"libxc, another version", libxc, func(b []byte) { b[15] = 1 }, "libxc stream is of version 1"},
		{"paravirtual", libxc, put32(24, 1), "a saved paravirtual Xen guest"},
		{"Arm", libxc, put32(24, 3), "a saved Xen guest of type 3"},
		{"large pages", libxc, put32(28, 21), "page shift at file offset 0x1c: got 21, want 12"},
		{"checkpoints", libxc, put32(40, 14), "a stream of checkpoints of a Xen guest"},
		{"no pages", libxc, put32(pages, 0), "it holds no page of memory"},
		{"a count of none", libxc, put32(pages+8, 0), "record of pages: count"},
		{"a count above its bytes", libxc, put32(pages+8, 1<<31), "record of pages: count"},
		{"pages past the record", libxc, put32(pages+4, 8+12*8+8*4096-1), "record of pages: length"},
		{"bytes behind the pages", libxc, put32(pages+4, 8+12*8+9*4096), "record of pages: length"},
		{"a record without a count", libxc, put32(pages+4, 4), "record of pages"},
		{"a type of page that is none", libxc, put64(pages+16+8*4, 6<<60), "a type that is known"},
		{"a page that can't be", libxc, put64(pages+16+8*4, 1<<40), "below the 52 bits"},
		{"libvirt, legacy", libvirt, put32(0x10, 1), "Xen 4.5 or older"},
		{"libvirt, another version", libvirt, put32(0x10, 3), "libvirt with a header of version 3"},
		{"libvirt, a long configuration", libvirt, put32(0x14, 1<<31), "xen: configuration of the guest"},
		{"libvirt, a short configuration", libvirt, put32(0x14, 8), "xen: header of libxl's stream"},
		{"xenops, legacy", xenops, func(b []byte) { copy(b, "XenSavedDomain\n") }, "Xen 4.5 or older"},
		{"xenops, legacy libxc", xenops, put64(15, 0xf2), "Xen 4.5 or older"},
		{"xenops, ended", xenops, put64(15, 0xffff), "got the last one, want one of memory before it"},
		{"xenops, a long record", xenops, put64(23, 1<<63), "xen: record of xenopsd"},
		{"xenops, libxl elsewhere", xenops, put64(15, 0xf1), "xen: header of libxl's stream"},
	} {
		b := bytes.Clone(c.file)
		c.change(b)
		_, err := physmemtest.Open(b)
		require.Error(t, err, c.what)
		assert.Contains(t, err.Error(), c.want, c.what)
	}
}

// TestWithoutEnd: files of records that lead nowhere end.
func TestWithoutEnd(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("\x02\x00\x00\x00\x00\x00\x00\x00", 70000)
	for want, file := range map[string]string{
		"want libxc's stream among the first 65536": "LibxlFmt\x00\x00\x00\x02\x00\x00\x00\x00" + many,
		"want at most 65536":                        string(guest().Libxc()[:40]) + many,
		"want one of memory among the first 65536":  "XenSavedDomv2-\n" + strings.Repeat("\x0f"+strings.Repeat("\x00", 15), 70000),
	} {
		_, err := physmemtest.Open([]byte(file))
		require.Error(t, err)
		assert.Contains(t, err.Error(), want)
	}
}

// TestNames: what a file says of the guest's name is not believed blindly.
func TestNames(t *testing.T) {
	t.Parallel()
	file := guest().Save()
	for name, want := range map[string]string{
		`"a\u001b\""`: `"a\""`, `7`: "of Xen", `"123456"`: `"123456"`,
	} {
		b := bytes.Replace(file, []byte(`"win11"`), []byte(name), 1)
		put32(0x2c, le.Uint32(b[0x2c:])+uint32(len(b)-len(file)))(b)
		put32(0x30, le.Uint32(b[0x2c:])-4)(b)
		assert.Contains(t, openXen(t, b).Describe(), want)
	}
}

// TestCancelled: opening ends with its context.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, file := range forms(guest()) {
		_, err := xen.Opener().Open(ctx, physmem.NewSource("", bytes.NewReader(file), int64(len(file))))
		require.ErrorIs(t, err, context.Canceled, name)
	}
}

// TestFailingFile: a file that can't be read is no file of another kind, wherever
// that is met.
func TestFailingFile(t *testing.T) {
	t.Parallel()
	cause := errors.New("the disk fails")
	for name, file := range forms(guest()) {
		for n := range 100 {
			r := &failing{r: bytes.NewReader(file), left: n, err: cause}
			m, err := physmemtest.OpenReader(r, int64(len(file)), open.Options{Format: physmem.FormatXen})
			if err == nil {
				require.Positive(t, n, name)
				if len(oddities(m)) == 0 {
					break
				}
				continue
			}
			require.ErrorIs(t, err, cause, "%s after %d reads", name, n)
			require.NotErrorIs(t, err, physmem.ErrUnknownFormat)
		}
	}
}

// failing fails after some reads.
type failing struct {
	r    io.ReaderAt
	left int
	err  error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	f.left--
	return f.r.ReadAt(p, off)
}
