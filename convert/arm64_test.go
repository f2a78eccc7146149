package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/internal/qemutest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/vmcore"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

// Where the guest of 64-bit Arm has what, as its source states it
// (testdata/guestarm64/guest.h, cpu.c).
const (
	base64A  = 0xfffff803f2e00000
	kdbg64A  = base64A + 0xc00d00
	prcb64A  = 0x980   // in KPCR
	frame64A = 0x360   // KPRCB.ProcessorState.ContextFrame
	hole64A  = 0x40040 // the pages that are firmware's
)

func pcr64A(i uint64) uint64 {
	if i == 0 {
		return 0xfffff803efd00000
	}
	return 0xffff9700690e8000 + i*0x90000
}

func stack64A(i uint64) uint64 { return 0xffffe00e0e4b7000 + i*0x10000 + 0x6000 }

// live64A are the registers that the guest leaves a vCPU with that runs a processor.
func live64A(cpu, number uint64) *wincontext.ContextARM64 {
	c := &wincontext.ContextARM64{ContextFlags: 0x400007, Cpsr: uint32(0x600003c4 | cpu&1<<31)}
	reg := func(i uint64) uint64 { return 0xc0de000000000000 + cpu<<32 + 0x10001*i }
	for i := range uint64(29) {
		c.X[i] = reg(i)
	}
	c.X[18], c.Fp, c.Lr = pcr64A(number), reg(29), reg(30)
	c.Sp = stack64A(number) - 0x800 - 0x40*cpu
	c.Pc = base64A + 0x408804 + 16*cpu // behind the instruction that waits
	for i := range uint64(64) {
		v := 0xf10a000000000000 + cpu<<32 + 0x10001*i
		if i%2 == 0 {
			c.V[i/2].Low = v
		} else {
			c.V[i/2].High = v
		}
	}
	c.Fpsr, c.Fpcr = uint32(0x10+cpu), uint32(cpu%4<<22)
	return c
}

// saved64A are those that it says Windows saved of a processor.
func saved64A(number uint64) *wincontext.ContextARM64 {
	c := &wincontext.ContextARM64{ContextFlags: 0x400007, Cpsr: 0x60000144, Pc: base64A + 0x408844, Fpsr: uint32(0x10 + number)}
	if number == 0 {
		c.Cpsr, c.Pc = 0x80000144, base64A+0x4de014
	}
	for i := range uint64(29) {
		c.X[i] = 0x5afe000000000000 + number<<32 + i
	}
	c.X[18] = pcr64A(number)
	for i := range uint64(32) {
		c.V[i] = wincontext.M128A{Low: 0x5a00000000000000 + number<<32 + i, High: ^uint64(0) / (i + 1)}
	}
	c.Fp = stack64A(number) - 0x600
	c.Sp, c.Lr = c.Fp, base64A+0x4de014-0x40
	return c
}

// space64A is the memory of a dump behind the page tables that its header names.
func space64A(t *testing.T, dmp []byte) *vtop.Space {
	t.Helper()
	return vtop.NewSpace(openBytes(t, dmp), u64(dmp, 0x10), vtop.ARM64)
}

// context64A is what a dump shows of a processor.
func context64A(t *testing.T, s *vtop.Space, number uint64) *wincontext.ContextARM64 {
	t.Helper()
	b := make([]byte, wincontext.ContextSizeARM64)
	_, err := s.ReadVirtual(b, vtop.VA(pcr64A(number)+prcb64A+frame64A))
	require.NoError(t, err)
	c, err := wincontext.DecodeContextARM64(b)
	require.NoError(t, err)
	return c
}

// checkDump64A: the header and KDBG of a full dump of a guest with n processors are the
// guest's, and it has memory as the core has it but for what the report lists.
func checkDump64A(t *testing.T, core, dmp []byte, r *report.Report, n int) *vtop.Space {
	t.Helper()
	assert.Equal(t, "OK", r.Verdict, "%v", ids(r))
	h, err := winhdr.Decode(dmp)
	require.NoError(t, err)
	assert.Same(t, winhdr.ARM64, h.Format())
	assert.EqualValues(t, 22000, h.MinorVersion)
	assert.EqualValues(t, n, h.NumberProcessors)
	assert.Equal(t, uint64(kdbg64A), h.KdDebuggerDataBlock)
	assert.Zero(t, h.DirectoryTableBase&0xfff)
	s := space64A(t, dmp)
	block := make([]byte, 0x380)
	_, err = s.ReadVirtual(block, kdbg64A)
	require.NoError(t, err)
	assert.Equal(t, "KDBG\x80\x03\x00\x00", string(block[0x10:0x18]), "it is decoded")
	assert.Equal(t, uint64(base64A), binary.LittleEndian.Uint64(block[0x18:]))

	im, source := openBytes(t, dmp), openBytes(t, core)
	assert.Equal(t, []physmem.Range{physmem.Span(0x40000000, hole64A<<12), physmem.Span(hole64A<<12+0x10000, 0x40800000)}, im.Ranges())
	got, want := make([]byte, 4096), make([]byte, 4096)
	for _, x := range im.Ranges() {
		for pa := x.Start; pa < x.End(); pa += 4096 {
			_, err := im.ReadAt(got, int64(pa))
			require.NoError(t, err)
			_, err = source.ReadAt(want, int64(pa))
			require.NoError(t, err)
			for _, e := range r.Edits {
				if at := uint64(e.PA); at >= pa && at < pa+4096 {
					copy(want[at-pa:], got[at-pa:][:e.Size])
				}
			}
			require.True(t, bytes.Equal(want, got), "page %#x", pa)
		}
	}
	return s
}

// TestSamplesARM64: what the guest of 64-bit Arm says of itself is in the dump.
func TestSamplesARM64(t *testing.T) {
	t.Parallel()
	for _, s := range qemutest.ARM64Samples() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			core := s.Core(t)
			dmp, r, err := convertBytes(t, core, convert.Options{})
			require.NoError(t, err)
			space := checkDump64A(t, core, dmp, r, 2)
			crashed := strings.Contains(strings.Join(s.Config.Variant, " "), "bsod")
			for i := range uint64(2) {
				want := live64A(i, i)
				if crashed {
					want = saved64A(i)
				}
				assert.Equal(t, want, context64A(t, space, i), "processor %d", i)
			}
			shown, err := wincontext.DecodeContextARM64(dmp[0x348:][:wincontext.ContextSizeARM64])
			require.NoError(t, err)
			assert.Equal(t, context64A(t, space, 0), shown)
			code := uint32(0x161)
			assert.Equal(t, crashed, slices.Contains(ids(r), finding.RootConfirmed.ID()))
			if crashed {
				code = 0xd1
				require.NotNil(t, r.Guest.Signature)
				assert.Equal(t, "0xd1!testdrv+0x1234", r.Guest.Signature.Text)
			}
			assert.Equal(t, code, binary.LittleEndian.Uint32(dmp[0x38:]))
		})
	}
}

// TestKindsARM64: each kind of dump is found good; a core that is made of one becomes the
// same dump again.
func TestKindsARM64(t *testing.T) {
	t.Parallel()
	for _, s := range qemutest.ARM64Samples() {
		core := s.Core(t)
		full, _, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		for _, kind := range []plan.OutputType{plan.OutputBitmap, plan.OutputKernel, plan.OutputTriage} {
			t.Run(fmt.Sprint(s.Name, " ", kind), func(t *testing.T) {
				t.Parallel()
				for _, from := range [][]byte{core, full} {
					dmp, r, err := convertBytes(t, from, convert.Options{Plan: plan.Options{Type: kind}})
					require.NoError(t, err)
					assert.Equal(t, "OK", r.Verdict, "%v", ids(r))
					checked := checkBytes(dmp, inspect.CheckFull)
					assert.Equal(t, "OK", checked.Verdict, "%+v", checked.Findings)
				}
			})
		}
		t.Run(s.Name+" elf", func(t *testing.T) {
			t.Parallel()
			back := toELF(t, full)
			assert.EqualValues(t, 183, binary.LittleEndian.Uint16(back[18:]), "EM_AARCH64")
			again, _, err := convertBytes(t, back, convert.Options{})
			require.NoError(t, err)
			assert.True(t, bytes.Equal(full, again))
		})
	}
}

// TestUnprovedARM64: a vCPU whose x18 is no processor's KPCR is taken for none, and a
// crashed guest's registers stay.
func TestUnprovedARM64(t *testing.T) {
	t.Parallel()
	for _, s := range qemutest.ARM64Samples() {
		core := s.Core(t)
		x18 := binary.LittleEndian.AppendUint64(nil, pcr64A(1))
		n := bytes.Count(core[:0x2000], x18)
		require.Equal(t, 1, n, "in the notes")
		at := bytes.Index(core, x18)
		binary.LittleEndian.PutUint64(core[at:], 0x7ff612340000)
		dmp, r, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		assert.Equal(t, "WARN", r.Verdict)
		assert.Contains(t, ids(r), finding.VCPUUnmatched.ID())
		kept := make([]byte, wincontext.ContextSizeARM64)
		own, err := vtop.NewSpace(openBytes(t, core), u64(dmp, 0x10), vtop.ARM64).ReadVirtual(kept, vtop.VA(pcr64A(1)+prcb64A+frame64A))
		require.NoError(t, err)
		require.Equal(t, len(kept), own)
		assert.Equal(t, kept, context64A(t, space64A(t, dmp), 1).Encode(), "nothing was written")
	}
}

// TestRawARM64: raw memory whose beginning nobody knows, and with the hole below it given.
func TestRawARM64(t *testing.T) {
	t.Parallel()
	s := qemutest.ARM64Samples()[0]
	core := s.Core(t)
	want, _, err := convertBytes(t, core, convert.Options{})
	require.NoError(t, err)
	raw := make([]byte, 8<<20)
	_, err = openBytes(t, core).ReadAt(raw, 0x40000000)
	require.NoError(t, err)
	opt := convert.Options{}
	opt.Source.Input.Format = physmem.FormatRaw
	got, r, err := convertBytes(t, raw, opt)
	require.NoError(t, err)
	assert.Contains(t, ids(r), finding.RawHole.ID())
	equalButFor(t, want, got, commentOnly)
	opt.Source.Input.Holes = []physmem.Range{physmem.Span(0, 0x40000000)}
	got, r, err = convertBytes(t, raw, opt)
	require.NoError(t, err)
	assert.NotContains(t, ids(r), finding.RawHole.ID())
	equalButFor(t, want, got, commentOnly)
}

// TestKdumpARM64: a kdump-compressed dump becomes what the ELF core of the same stopped
// guest becomes.
func TestKdumpARM64(t *testing.T) {
	t.Parallel()
	s := qemutest.ARM64Samples()[1]
	want, _, err := convertBytes(t, s.Core(t), convert.Options{})
	require.NoError(t, err)
	got, r, err := convertBytes(t, gunzip(t, samplePath(s.KdumpFile())), convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict, "%v", ids(r))
	equalButFor(t, want, got, commentOnly)
}

// commentOnly: who made a dump, and of what, is in the header's Comment.
var commentOnly = []allowed{{name: "Comment", offset: 0xfb0, size: 128}}

// TestNotWindowsARM64: a Linux guest is named, and so is a core of the other byte order.
func TestNotWindowsARM64(t *testing.T) {
	t.Parallel()
	core := qemutest.ARM64Samples()[0].Core(t)
	memory := bytes.Index(core, []byte("KDBG"))
	require.Positive(t, memory)
	_, linux, err := convertBytes(t, linuxARM64(t, core), convert.Options{})
	require.Error(t, err)
	assert.Contains(t, ids(linux), finding.OtherSystem.ID(), "%v", err)
	big := testheap.Clone(t, core)
	big[5] = 2
	slices.Reverse(big[16:18])
	slices.Reverse(big[18:20])
	_, err = convert.File(context.Background(), writeFile(t, big), filepath.Join(t.TempDir(), "out"), convert.Options{})
	require.ErrorContains(t, err, "a big-endian ELF core (EM_AARCH64); Windows guests are little-endian")
}

// TestForeignTablesARM64: what vCPUs ran on page tables of a layout that is not read is no
// firmware: the layout is named. The container is one that says it: a core of a test,
// with system registers.
func TestForeignTablesARM64(t *testing.T) {
	t.Parallel()
	core := qemutest.ARM64Samples()[0].Core(t)
	clear(core[0x2000 : len(core)-0x100])
	for tcr, want := range map[uint64]string{
		0x9575519511:         "a layout that is not read here: 16 KiB pages and halves of 47 and 47 bits",
		0x95b5513511 | 1<<59: "a layout that is not read here: 4 KiB pages and addresses of 52 bits",
	} {
		opt := convert.Options{}
		opt.Source.Input.Openers = []physmem.Opener{{Format: physmem.FormatELF, Open: func(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
			c, err := vmcore.Opener().Open(ctx, src)
			if err != nil {
				return nil, err
			}
			for i := range c.CPUs {
				cpu := *physmem.ARM64Of(c.CPUs[i])
				cpu.System = &physmem.ARM64System{SCTLR: 1, TCR: tcr, TTBR0: 0x40001000, TTBR1: 0x40002000}
				c.CPUs[i].Registers = &cpu
			}
			return c, nil
		}}}
		_, r, err := convertBytes(t, core, opt)
		require.ErrorContains(t, err, want)
		at := slices.Index(ids(r), finding.TablesForeign.ID())
		require.GreaterOrEqual(t, at, 0)
		assert.Equal(t, fmt.Sprintf("TCR_EL1 is %#x", tcr), r.Findings[at].Detail)
	}
}

// TestOtherPagesARM64: a core has no register that says how page tables are laid out, but
// the kernel's block says how large pages are.
func TestOtherPagesARM64(t *testing.T) {
	t.Parallel()
	const tag, mmPageSize = 0x10, 0x138
	core := qemutest.ARM64Samples()[0].Core(t)
	block := bytes.Index(core, []byte("KDBG\x80\x03\x00\x00")) - tag
	require.Positive(t, block)
	for size, want := range map[uint64]string{
		16 << 10: "the block of a kernel with pages of 16 KiB", 64 << 10: "the block of a kernel with pages of 64 KiB", 32 << 10: "no Windows kernel was found",
	} {
		b := testheap.Clone(t, core)
		clear(b[0x2000 : len(b)-0x100]) // page tables of 4 KiB lead nowhere then
		copy(b[block:], core[block:][:0x380])
		require.Equal(t, uint64(4096), u64(b, block+mmPageSize))
		binary.LittleEndian.PutUint64(b[block+mmPageSize:], size)
		_, r, err := convertBytes(t, b, convert.Options{})
		require.ErrorContains(t, err, want)
		assert.Equal(t, strings.HasPrefix(want, "the block"), slices.Contains(ids(r), finding.TablesForeign.ID()), "%v", ids(r))
	}
}

// linuxARM64 is a core whose memory is zeros but for Linux' banner.
func linuxARM64(tb testing.TB, core []byte) []byte {
	tb.Helper()
	b := testheap.Clone(tb, core)
	clear(b[0x2000 : len(b)-0x100])
	copy(b[0x4000:], "Linux version 6.1.0-18-arm64 (builder@host) (gcc) #1 SMP Debian\n\x00")
	return b
}

func writeFile(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

// readFile is what a file holds.
func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}
