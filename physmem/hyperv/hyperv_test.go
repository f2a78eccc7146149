package hyperv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// memory is a guest's memory that tells its own place, with pages of zeros and others
// that are easily packed.
type memory struct{ ranges []physmem.Range }

// at is the byte at an address.
func (m memory) at(pa uint64) byte {
	switch pa / physmem.PageSize % 4 {
	case 1:
		return 0
	case 2:
		return byte(pa % 8)
	case 3:
		return byte(pa / 64)
	}
	return fixture.PatternAt(pa)
}

func (m memory) Ranges() []physmem.Range { return m.ranges }

func (m memory) ReadAt(p []byte, pa int64) (int, error) {
	for n := 0; n < len(p); {
		at := uint64(pa) + uint64(n)
		part := p[n:min(len(p), n+physmem.PageSize-int(at%physmem.PageSize))]
		if at/physmem.PageSize%4 == 0 {
			fixture.FillPattern(part, at)
		} else {
			for i := range part {
				part[i] = m.at(at + uint64(i))
			}
		}
		n += len(part)
	}
	return len(p), nil
}

// guest is an image with two processors and the given memory, or two stretches of it,
// the second one of half a RAM block.
func guest(tb testing.TB, ranges ...physmem.Range) (*physmem.Image, memory, []physmem.CPU) {
	tb.Helper()
	m := memory{ranges}
	if len(ranges) == 0 {
		m.ranges = []physmem.Range{{Start: 0, Size: 2 << 20}, {Start: 1 << 32, Size: 1 << 19}}
	}
	im := physmem.NewImage("test", physmem.NewSource("", bytes.NewReader(nil), 0), &physmem.Container{Memory: m})
	cpus := make([]physmem.CPU, 2)
	for i := range cpus {
		seed := fixture.SeedOf(i)
		segment := func(n uint64) physmem.Segment {
			return physmem.Segment{Selector: uint16(0x10 + 8*n), Limit: 0xffffffff, Flags: 0xc09300 | uint32(n)<<13&0x6000, Base: seed + 100 + n}
		}
		x := &physmem.X86{
			Rax: seed, Rbx: seed + 1, Rcx: seed + 2, Rdx: seed + 3, Rsi: seed + 4, Rdi: seed + 5, Rsp: seed + 6, Rbp: seed + 7,
			R8: seed + 8, R9: seed + 9, R10: seed + 10, R11: seed + 11, R12: seed + 12, R13: seed + 13, R14: seed + 14, R15: seed + 15,
			Rip: seed + 16, Rflags: seed + 17,
			CS: segment(0), DS: segment(1), ES: segment(2), FS: segment(3), GS: segment(4), SS: segment(5), LDT: segment(6), TR: segment(7),
			GDT: physmem.Segment{Limit: 0x57, Base: seed + 108}, IDT: physmem.Segment{Limit: 0xfff, Base: seed + 109},
			HasSystem: true, CR0: seed + 200, CR2: seed + 202, CR3: seed + 203, CR4: seed + 204, KernelGSBase: seed + 300, HasKernelGSBase: true,
		}
		cpus[i] = physmem.CPU{Index: i, ID: uint32(i), Registers: x}
	}
	return im, m, coretest.WithAll(cpus)
}

// variants are the ways in which the guest may be saved.
var variants = map[string]coretest.HyperV{
	"plain":      {},
	"compressed": {Pack: true},
	"VBS":        {Pack: true, VBS: true, OSID: 0x0001_040a_0000_4a61, Applied: 3},
}

// TestState: memory and registers are those that were written, whatever the way, though
// the system once refused a read; and what there is of a file that is cut.
func TestState(t *testing.T) {
	t.Parallel()
	for name, how := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im, mem, cpus := guest(t)
			file := how.Write(t, im, cpus)
			m := checkFailing(t, file)
			require.NoError(t, physmemtest.Test(m, mem.Ranges(), mem.at))
			assert.Equal(t, physmem.FormatHyperV, m.Format())
			assert.Equal(t, physmem.MachineX64, m.Machine())
			assert.Equal(t, how.Pack, !m.Located())
			assert.Equal(t, []physmem.OddityKind{physmem.OddityUntried}, fixture.Kinds(m), "%v", m.Oddities())
			assertRegisters(t, cpus, m.CPUs())
			sound, err := m.Sound(t.Context())
			require.NoError(t, err)
			assert.Same(t, m, sound)
			checkCut(t, file, mem)
		})
	}
}

// checkFailing returns the image of which a read was refused by the system, which is no
// damage.
func checkFailing(t *testing.T, file []byte) *physmem.Image {
	t.Helper()
	flaky := &fixture.Flaky{ReaderAt: bytes.NewReader(file)}
	m, err := physmemtest.OpenReader(flaky, int64(len(file)), open.Options{})
	require.NoError(t, err)
	broken := errors.New("bad sector")
	flaky.Fail(broken)
	_, err = m.ReadAt(make([]byte, 8), 0)
	require.ErrorIs(t, err, broken)
	assert.False(t, m.MetDamage())
	flaky.Fail(nil)
	return m
}

// assertRegisters compares all that is known of processors.
func assertRegisters(t *testing.T, want, got []physmem.CPU) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i].ID, got[i].ID)
		assert.Equal(t, physmem.X86Of(want[i]), physmem.X86Of(got[i]))
	}
}

// TestDescribe: what the file tells of the machine is said.
func TestDescribe(t *testing.T) {
	t.Parallel()
	im, _, cpus := guest(t, physmem.Range{Size: 0x6000})
	for want, how := range map[string]coretest.HyperV{
		"Hyper-V saved state (Normal) of VM version 10.0, 1 RAM block, 2 CPUs":              {},
		"Hyper-V saved state (Snapshot) of VM version 9.2, compressed, 1 RAM block, 2 CPUs": {Pack: true, Keys: map[string]any{"savedstate/type": "Snapshot", "savedstate/VmVersion": int64(0x902)}},
		"Hyper-V saved state of VM version 10.0, 1 RAM block, 2 CPUs; the guest said that it is Windows NT 10.0, build 19041": {
			OSID: 0x0001_040a_0000_4a61, Keys: map[string]any{"savedstate/type": nil, "savedstate/VmVersion": nil},
		},
	} {
		m, err := physmemtest.Open(how.Write(t, im, cpus))
		require.NoError(t, err)
		assert.Equal(t, want, m.Describe())
		state := physmem.State{Product: "Hyper-V", Version: "10.0", Kind: "Normal"}
		switch {
		case how.Pack:
			state.Version, state.Kind, state.Encoding = "9.2", "Snapshot", "xpress"
		case how.OSID != 0:
			state.Kind = ""
		}
		assert.Equal(t, state, m.State())
	}
}

// TestRefused: what is no saved state with memory is named.
func TestRefused(t *testing.T) {
	t.Parallel()
	im, _, cpus := guest(t, physmem.Range{Size: 0x6000})
	none := map[string]any{"savedstate/RamMemoryBlock0": nil, "savedstate/RamMemoryBlock1": nil}
	with := func(more map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{none, more} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	block := make([]byte, 48)
	block[0], block[8] = 2, 1
	for want, how := range map[string]coretest.HyperV{
		"change 1 of 1 in its replay log not made yet":     {Log: 1},
		"change 3 of 3 in its replay log not made yet":     {Log: 1, Applied: 2},
		"a running machine, or of a production checkpoint": {Keys: none},
		"settings of a Hyper-V machine (.vmcx)":            {Keys: with(map[string]any{"savedstate/savedVM/partition_state": nil})},
		"VM version 5.0 or below":                          {Keys: map[string]any{"savedstate/VmVersion": int64(0x500)}},
		"whose memory is in a .bin file":                   {Keys: with(map[string]any{"savedVM/partition_state": []byte("old")})},
		"memory blocks of version 2":                       {Keys: map[string]any{"savedstate/RamMemoryBlock0": block}},
		"memory blocks of 40 bytes":                        {Keys: map[string]any{"savedstate/RamMemoryBlock0": block[:40]}},
	} {
		m, err := physmemtest.Open(how.Write(t, im, cpus))
		require.Nil(t, m, want)
		require.ErrorIs(t, err, physmem.ErrUnsupported, want)
		assert.Contains(t, err.Error(), want)
	}
}

// TestHeaders: the valid copy counts, of two the later one; without any the file is
// named.
func TestHeaders(t *testing.T) {
	t.Parallel()
	im, mem, cpus := guest(t)
	file := coretest.HyperV{}.Write(t, im, cpus)
	older := bytes.Clone(file)
	older[0x1000+20] ^= 1
	m, err := physmemtest.Open(older)
	require.NoError(t, err)
	require.NoError(t, physmemtest.Test(m, mem.Ranges(), mem.at))
	assert.Contains(t, fixture.Kinds(m), physmem.OddityConflict)

	first := bytes.Clone(file)
	clear(first[:46])
	m, err = physmemtest.Open(first)
	require.NoError(t, err, "the copy tells what it is")
	assert.Len(t, m.CPUs(), 2)

	older[20] ^= 1
	_, err = physmemtest.Open(older)
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	for _, part := range []string{"a Hyper-V saved state", "no copy of the header has the right checksum", "the one at 0x1000", "WinDbg"} {
		assert.Contains(t, err.Error(), part)
	}
	for _, n := range []int{4, 45, 46, 0x1000, 0x1020} {
		_, err = physmemtest.Open(file[:n])
		require.Error(t, err, n)
		assert.Contains(t, strings.ToLower(err.Error()), "hyper-v", n)
	}
}

// checkCut: at every structure the file may end; what is left is what there is, and
// that it is cut is said.
func checkCut(t *testing.T, file []byte, mem memory) {
	t.Helper()
	step := 0x7ff // tables are at the end, memory is in front of them
	for n := len(file) - 1; n > 0x2000; n -= step {
		if n < len(file)-0xc000 {
			step = 0x1ffff
		}
		m, err := physmemtest.Open(file[:n])
		if err != nil {
			var fe *physmem.FormatError
			if errors.As(err, &fe) {
				require.NotNil(t, fe.Cut, "%#x: %v", n, err)
			} else {
				require.ErrorIs(t, err, physmem.ErrUnsupported, "%#x: %v", n, err)
			}
			continue
		}
		assert.NotEmpty(t, m.Cut(), "%#x of %#x", n, len(file))
		for _, r := range m.Ranges() {
			b := make([]byte, physmem.PageSize)
			_, err := m.ReadAt(b, int64(r.End()-physmem.PageSize))
			require.NoError(t, err)
			assert.Equal(t, mem.at(r.End()-1), b[physmem.PageSize-1])
		}
	}
}

// TestMissingBlock: a RAM block that is not there is a hole.
func TestMissingBlock(t *testing.T) {
	t.Parallel()
	im, mem, cpus := guest(t)
	for _, pack := range []bool{false, true} {
		m, err := physmemtest.Open(coretest.HyperV{Pack: pack, Keys: map[string]any{"savedstate/RamBlock1": nil}}.Write(t, im, cpus))
		require.NoError(t, err)
		require.NoError(t, physmemtest.Test(m, []physmem.Range{{Size: 1 << 20}, mem.ranges[1]}, mem.at))
		assert.Contains(t, fixture.Kinds(m), physmem.OddityBadSegment)
	}
}

// TestOverlap: where two memory blocks have the same page, the first one is believed.
func TestOverlap(t *testing.T) {
	t.Parallel()
	im, mem, cpus := guest(t)
	for _, pack := range []bool{false, true} {
		block := make([]byte, 48)
		for i, v := range []uint64{3, 0x100, 0x200, 0x80} {
			binary.LittleEndian.PutUint64(block[8*i:], v)
		}
		m, err := physmemtest.Open(coretest.HyperV{Pack: pack, Keys: map[string]any{"savedstate/RamMemoryBlock2": block}}.Write(t, im, cpus))
		require.NoError(t, err)
		require.NoError(t, physmemtest.Test(m, mem.Ranges(), mem.at))
		assert.Contains(t, fixture.Kinds(m), physmem.OddityConflict)
	}
}

// TestDamagedPages: a page that can't be unpacked is an error of its own, and all
// others are read; without them it is a hole.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	im, mem, cpus := guest(t)
	packed := []byte{}
	record := func(size uint32, data ...byte) {
		packed = append(binary.LittleEndian.AppendUint32(packed, size), data...)
	}
	page := make([]byte, physmem.PageSize)
	_, _ = mem.ReadAt(page, 0)
	record(physmem.PageSize, page...)
	record(6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // a match in front of the page
	record(0xfffffffd, append(make([]byte, 8), 0xfe, 0, 0, 0)...)
	record(0xffffffff)
	m, err := physmemtest.Open(coretest.HyperV{Keys: map[string]any{"savedstate/RamBlock0": packed}}.Write(t, im, cpus))
	require.NoError(t, err)
	buf := make([]byte, 3*physmem.PageSize)
	n, err := m.ReadAt(buf, 0)
	assert.Equal(t, physmem.PageSize, n)
	var read *physmem.ReadError
	require.ErrorAs(t, err, &read)
	assert.True(t, read.Damaged)
	assert.NotZero(t, read.Offset)
	assert.True(t, m.MetDamage())
	assert.Equal(t, page, buf[:physmem.PageSize])
	_, err = m.ReadAt(buf, 2*physmem.PageSize)
	require.NoError(t, err)
	sound, err := m.Sound(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []physmem.Range{{Size: 0x1000}, {Start: 0x2000, Size: 2<<20 - 0x2000}, mem.ranges[1]}, sound.Ranges())
	assert.Contains(t, fixture.Kinds(sound), physmem.OddityDamaged)
	_, err = sound.ReadAt(buf, 0)
	require.ErrorIs(t, err, physmem.ErrNotInImage)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Sound(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// TestProcessors: chunks that are not as they must be cost what they say, and nothing
// else.
func TestProcessors(t *testing.T) {
	t.Parallel()
	im, mem, cpus := guest(t, physmem.Range{Size: 0x6000})
	for name, state := range map[string]any{
		"none":      nil,
		"empty":     []byte{},
		"too short": make([]byte, 20),
		"outside":   bytes.Repeat([]byte{0xff}, 64),
	} {
		m, err := physmemtest.Open(coretest.HyperV{Keys: map[string]any{"savedstate/savedVM/partition_state": state}}.Write(t, im, cpus))
		require.NoError(t, err, name)
		require.NoError(t, physmemtest.Test(m, mem.Ranges(), mem.at))
		assert.Empty(t, m.CPUs())
		assert.Contains(t, fixture.Kinds(m), physmem.OddityCPU, name)
	}
	// Without MSRs, as openvmm writes it.
	m, err := physmemtest.Open(coretest.HyperV{NoMSRs: true}.Write(t, im, cpus))
	require.NoError(t, err)
	x := physmem.X86Of(m.CPUs()[1])
	assert.Nil(t, x.MSR)
	assert.False(t, x.HasKernelGSBase)
	assert.Equal(t, physmem.X86Of(cpus[1]).GS, x.GS)
}

// TestOpenVMM: a file that Microsoft's own writer made of the test guest.
func TestOpenVMM(t *testing.T) {
	t.Parallel()
	m, err := physmemtest.Open(coretest.Sample(t, "hyperv-openvmm-writer.vmrs.gz"))
	require.NoError(t, err)
	require.NoError(t, physmemtest.Test(m, []physmem.Range{{Size: 64 << 20}, {Start: 1 << 32, Size: 32 << 20}}, nil))
	assert.Equal(t, []physmem.OddityKind{physmem.OddityUntried}, fixture.Kinds(m), "%v", m.Oddities())
	assert.True(t, m.Located())
	require.Len(t, m.CPUs(), 2)
	assert.Equal(t, uint64(0x3b65000), physmem.X86Of(m.CPUs()[1]).CR3)
}
