package xen_test

import (
	"bufio"
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
)

// TestSamples: a core and a saved state that Xen 4.17 wrote of the same paused guest. It
// has tagged its pages from 2 to 24 MiB with their own address and set all registers to
// values of their own.
func TestSamples(t *testing.T) {
	t.Parallel()
	core, save := openXen(t, coretest.Sample(t, "xen-4.17-dump-core.gz")), openXen(t, coretest.Sample(t, "xen-4.17-xl-save.gz"))
	assert.Equal(t, "Xen core (xl dump-core) of Xen 4.17.5, 6128 pages, 1 CPU", core.Describe())
	assert.Equal(t, `saved Xen guest (xl save) "w" of Xen 4.17, 10252 pages, 1 CPU`, save.Describe())
	for _, m := range []*physmem.Image{core, save} {
		assert.Empty(t, m.Oddities())
		assert.Equal(t, physmem.MachineX64, m.Machine())
		for pa := uint64(0x200000); pa < 0x1800000; pa += 0x1000 {
			for _, at := range []uint64{pa, pa + 0xff8} {
				b := make([]byte, 8)
				_, err := m.ReadAt(b, int64(at))
				require.NoError(t, err)
				require.Equal(t, pa, le.Uint64(b))
			}
		}
		require.Len(t, m.CPUs(), 1)
		checkTools(t, m.CPUs()[0])
	}
	// All that both have is the same.
	for _, r := range core.Ranges() {
		require.Empty(t, save.Missing(r))
		a, b := make([]byte, r.Size), make([]byte, r.Size)
		_, err := core.ReadAt(a, int64(r.Start))
		require.NoError(t, err)
		_, err = save.ReadAt(b, int64(r.Start))
		require.NoError(t, err)
		require.True(t, bytes.Equal(a, b), "%v", r)
	}
	x := *physmem.X86Of(save.CPUs()[0])
	assert.Equal(t, asInCore(&x), core.CPUs()[0].Registers)
}

// checkTools compares a processor with what Xen's own xenctx and xen-hvmctx print.
func checkTools(t *testing.T, cpu physmem.CPU) {
	t.Helper()
	c := physmem.X86Of(cpu)
	require.True(t, c.HasSystem)
	said := toolsSay(t)
	checked := 0
	check := func(name string, got uint64) {
		want, ok := said[name]
		require.True(t, ok, name)
		assert.Equal(t, want, got, name)
		checked++
	}
	for name, v := range map[string]uint64{
		"rax": c.Rax, "rbx": c.Rbx, "rcx": c.Rcx, "rdx": c.Rdx, "rsi": c.Rsi, "rdi": c.Rdi, "rbp": c.Rbp, "rsp": c.Rsp,
		"r8": c.R8, "r9": c.R9, "r10": c.R10, "r11": c.R11, "r12": c.R12, "r13": c.R13, "r14": c.R14, "r15": c.R15,
		"rip": c.Rip, "rflags": c.Rflags, "cr0": c.CR0, "cr2": c.CR2, "cr3": c.CR3, "cr4": c.CR4,
		"dr0": c.Debug.Dr0, "dr1": c.Debug.Dr1, "dr2": c.Debug.Dr2, "dr3": c.Debug.Dr3, "dr6": c.Debug.Dr6, "dr7": c.Debug.Dr7,
		"cs": uint64(c.CS.Selector), "ss": uint64(c.SS.Selector), "ds": uint64(c.DS.Selector),
		"es": uint64(c.ES.Selector), "fs": uint64(c.FS.Selector), "gs": uint64(c.GS.Selector),
		"fs base": c.FS.Base, "gs base": c.GS.Base, "shadow gs": c.KernelGSBase,
		"fcw": uint64(le.Uint16(c.FX)), "fsw": uint64(le.Uint16(c.FX[2:])), "mxcsr": uint64(le.Uint32(c.FX[24:])),
		"mm0": le.Uint64(c.FX[32:]), "mm1": le.Uint64(c.FX[48:]),
		"xmm00": le.Uint64(c.FX[160:]), "xmm15": le.Uint64(c.FX[160+15*16:]),
	} {
		check(name, v)
	}
	assert.Equal(t, 44, checked)
	if c.NoTables {
		return
	}
	for name, v := range map[string]uint64{
		"efer": c.MSR.EFER, "star": c.MSR.STAR, "lstar": c.MSR.LSTAR, "cstar": c.MSR.CSTAR, "sfmask": c.MSR.SFMASK, "PAT": c.MSR.PAT,
		"idtr": c.IDT.Base, "idtr limit": uint64(c.IDT.Limit), "gdtr": c.GDT.Base, "gdtr limit": uint64(c.GDT.Limit),
		"tr": uint64(c.TR.Selector), "tr limit": uint64(c.TR.Limit),
		"cs rights": rights(c.CS), "ss rights": rights(c.SS), "fs rights": rights(c.FS), "tr rights": rights(c.TR), "ldtr rights": rights(c.LDT),
	} {
		check(name, v)
	}
}

// rights are the access rights of a segment as Xen prints them.
func rights(s physmem.Segment) uint64 { return uint64(s.Flags>>8&0xff | s.Flags>>20<<8) }

// toolsSay are the numbers that xen-hvmctx printed, and the bases that only xenctx
// prints in full.
func toolsSay(t *testing.T) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	number := func(name, hex string) {
		// Of the x87 and SSE registers the lower 64 bits are compared.
		hex = strings.TrimPrefix(hex, "0x")
		v, err := strconv.ParseUint(hex[max(0, len(hex)-16):], 16, 64)
		require.NoError(t, err)
		if _, again := out[name]; !again {
			out[name] = v
		}
	}
	pair := regexp.MustCompile(`(shadow gs|PAT|[a-z][a-z0-9]*) +(0x[0-9a-f]+)`)
	segment := regexp.MustCompile(`([a-z]{2,4}) +(?:(0x)?([0-9a-f]{4}))? +\( *(0x)?([0-9a-f]+) \+ +(?:0x)?([0-9a-f]+)(?: / +(?:0x)?([0-9a-f]+))?\)`)
	lines := bufio.NewScanner(bytes.NewReader(coretest.Sample(t, "xen-4.17-hvmctx.txt")))
	for lines.Scan() {
		if m := segment.FindStringSubmatch(lines.Text()); m != nil {
			name := m[1]
			if m[3] != "" {
				number(name, m[3])
				number(name+" base", m[5])
				number(name+" rights", m[7])
			} else {
				number(name, m[5])
			}
			number(name+" limit", m[6])
			continue
		}
		for _, m := range pair.FindAllStringSubmatch(lines.Text(), -1) {
			number(m[1], m[2])
		}
	}
	context := string(coretest.Sample(t, "xen-4.17-xenctx.txt"))
	assert.Contains(t, context, "gs: 002b @ ffff800000120000/000000d4f2d0b000", "xenctx agrees")
	return out
}
