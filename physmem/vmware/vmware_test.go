package vmware_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/binio"
	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// folder are files in memory that are beside each other.
type folder map[string]io.ReaderAt

// file is one of them.
type file struct {
	io.ReaderAt
	name string
	size int64
	dir  folder
}

func (f file) Size() int64  { return f.size }
func (f file) Name() string { return f.name }

func (f file) OpenSibling(name string) (physmem.Source, error) { return f.dir.open(name) }

func (d folder) open(name string) (physmem.Source, error) {
	r, ok := d[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if r == nil {
		return nil, &physmem.UnsupportedError{What: "a folder, not a file"}
	}
	size := int64(1) << 40
	if s, ok := r.(interface{ Size() int64 }); ok {
		size = s.Size()
	}
	return file{r, name, size, d}, nil
}

// image opens one of the files.
func (d folder) image(ctx context.Context, name string) (*physmem.Image, error) {
	src, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return open.Source(ctx, src, open.Options{})
}

// pair are a state and its memory.
func pair(state, memory []byte) folder {
	d := folder{"win.vmss": bytes.NewReader(state)}
	if memory != nil {
		d["win.vmem"] = bytes.NewReader(memory)
	}
	return d
}

// ranges are the memory of the guest of these tests.
var ranges = []physmem.Range{{Size: 0x5000}, {Start: 0x100000000, Size: 0x3000}}

// guest is memory that tells its own place, and two processors.
func guest() *physmem.Image {
	memory := append(fixture.Pattern(0, 0x5000), fixture.Pattern(0x100000000, 0x3000)...)
	list := []physmem.Extent{{Range: ranges[0]}, {Range: ranges[1], Offset: 0x5000}}
	return physmem.NewImage("test", physmem.NewSource("", bytes.NewReader(nil), 0), &physmem.Container{
		Memory: extents.New(bytes.NewReader(memory), list), CPUs: cpus(),
	})
}

// cpus are processors each of whose registers has a value of its own.
func cpus() (list []physmem.CPU) {
	for i := range uint64(2) {
		n := 0xfffff80000000000 | i<<32
		seg := func(k uint64, flags uint32) physmem.Segment {
			return physmem.Segment{Selector: uint16(0x10 + 8*k + i), Limit: uint32(0xff00 + k), Flags: flags, Base: n | 0x500000 | k<<12}
		}
		list = append(list, physmem.CPU{Registers: &physmem.X86{
			Rax: n | 1, Rbx: n | 2, Rcx: n | 3, Rdx: n | 4, Rsi: n | 5, Rdi: n | 6, Rsp: n | 0x7000, Rbp: n | 0x7123,
			R8: n | 8, R9: n | 9, R10: n | 10, R11: n | 11, R12: n | 12, R13: n | 13, R14: n | 14, R15: n | 15,
			Rip: n | 0x10, Rflags: 0x246 + i,
			ES: seg(0, 0xc0f300), CS: seg(1, 0xa09b00), SS: seg(2, 0xc09300), DS: seg(3, 0xc0f300), FS: seg(4, 0x40f300), GS: seg(5, 0xc0f300),
			LDT: seg(6, 0), TR: seg(7, 0x8b00),
			GDT: physmem.Segment{Limit: 0x57, Base: n | 0x600000}, IDT: physmem.Segment{Limit: 0xfff, Base: n | 0x601000},
			HasSystem: true, CR0: 0x80050033, CR2: n | 0x20, CR3: 0x1ad000 + i<<12, CR4: 0x370678,
			Debug: &physmem.DebugRegs{Dr0: n | 0x30, Dr1: n | 0x31, Dr2: n | 0x32, Dr3: n | 0x33, Dr6: 0xffff0ff1, Dr7: 0x402},
		}})
	}
	return list
}

// shapes are the ways in which VMware's products keep a guest.
var shapes = map[string]coretest.VMware{
	"beside":            {Regions: ranges},
	"beside, blocks":    {Regions: ranges, Blocks: true},
	"rbp first":         {Regions: ranges, Blocks: true, RBPFirst: true},
	"out of order":      {Regions: []physmem.Range{ranges[1], {Start: 0x2000, Size: 0x3000}, {Size: 0x2000}}},
	"inside":            {Regions: ranges, Embedded: true, Padding: 0xfff},
	"inside, 32-bit":    {Regions: ranges, Embedded: true, Magic: 0xbed2bed0, Padding: 3},
	"beside, 32-bit":    {Regions: ranges, Magic: 0xbed0bed0, Blocks: true},
	"partial":           {Regions: ranges, Magic: 0xbed3bed3},
	"resumed, inside":   {Regions: ranges, Magic: 0xbad1bad1, Embedded: true},
	"not to be resumed": {Regions: ranges, Magic: 0xbad2bad2},
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, v := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, memory := v.Write(t, guest(), cpus())
			d := pair(state, memory)
			for file := range d {
				m, err := d.image(t.Context(), file)
				require.NoError(t, err)
				assert.Equal(t, physmem.FormatVMware, m.Format())
				assert.Equal(t, physmem.MachineX64, m.Machine())
				assert.Contains(t, m.Describe(), "VMware ESX 4.1.0")
				assert.Equal(t, physmem.State{Product: "VMware ESX", Version: "4.1.0"}, m.State())
				assert.Contains(t, m.Describe(), "2 ranges, 2 CPUs")
				assert.Equal(t, []physmem.OddityKind{physmem.OddityUntried}, fixture.Kinds(m), "%v", m.Oddities())
				assert.Equal(t, file == "win.vmss" && memory != nil, m.MemoryFile() == "win.vmem")
				assert.False(t, m.TakesHoles())
				require.NoError(t, physmemtest.Test(m, ranges, fixture.PatternAt))
				for i, want := range cpus() {
					got := m.CPUs()[i]
					assert.Equal(t, i, got.Index)
					assert.Equal(t, uint32(i), got.ID)
					assert.Positive(t, got.NoteOffset)
					x := *physmem.X86Of(want)
					assert.Equal(t, &x, physmem.X86Of(got))
				}
			}
		})
	}
}

// TestOnePiece: without regions the memory is one piece from address 0 on.
func TestOnePiece(t *testing.T) {
	t.Parallel()
	for _, embedded := range []bool{false, true} {
		v := coretest.VMware{Regions: ranges[:1], NoRegions: true, Embedded: embedded, Padding: 7}
		d := pair(v.Write(t, guest(), cpus()))
		m, err := d.image(t.Context(), "win.vmss")
		require.NoError(t, err)
		require.NoError(t, physmemtest.Test(m, ranges[:1], fixture.PatternAt))
	}
}

// Test32: registers of a 32-bit machine, without the 64-bit twins.
func Test32(t *testing.T) {
	t.Parallel()
	for _, narrow := range []bool{true, false} {
		x := &physmem.X86{
			Rax: 1, Rsp: 0x8c10282c, Rbp: 0x30013063, Rip: 0x82c1c0ba, Rflags: 0x86,
			FS: physmem.Segment{Selector: 0x30, Base: 0x82d00000}, GDT: physmem.Segment{Base: 0x80b95000, Limit: 0x3ff}, IDT: physmem.Segment{Base: 0x80b95400},
			CR0: 0x80010031, CR3: 0x185000, CR4: 0x6f8,
		}
		state, _ := coretest.VMware{Regions: ranges[:1], Embedded: true, Narrow: narrow, Blocks: !narrow}.Write(t, guest(), []physmem.CPU{{Registers: x}})
		m, err := pair(state, nil).image(t.Context(), "win.vmss")
		require.NoError(t, err)
		assert.Equal(t, physmem.MachineX86, m.Machine())
		want := *x
		want.Is32, want.HasSystem = true, true
		assert.Equal(t, &want, physmem.X86Of(m.CPUs()[0]))
		assert.Equal(t, []physmem.OddityKind{physmem.OddityUntried}, fixture.Kinds(m), "%v", m.Oddities())
	}
}

// TestRefused: what is not read is named.
func TestRefused(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 1<<16)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	write := func(v coretest.VMware) []byte { state, _ := v.Write(t, guest(), cpus()); return state }
	for want, c := range map[string]struct {
		file []byte
		name string
	}{
		"an Arm machine":                       {write(coretest.VMware{Platform: 3, Embedded: true}), "win.vmss"},
		"compressed memory":                    {write(coretest.VMware{Embedded: true, Compressed: true}), "win.vmss"},
		"without its memory; its memory is in": {write(coretest.VMware{StateOnly: true}), "win.vmss"},
		"Raw memory is read if raw is given":   {write(coretest.VMware{StateOnly: true}), "win.bin"},
		"made without memory":                  {write(coretest.VMware{StateOnly: true, NoCPUs: true}), "win.vmsn"},
		"an encrypted VMware state":            {noise, "win.vmsn"},
		"nothing was written yet":              {make([]byte, 0x2000), "win.vmss"},
		"it looks like text":                   {[]byte("hello"), "win.vmss"},
	} {
		m, err := folder{c.name: bytes.NewReader(c.file)}.image(t.Context(), c.name)
		require.Nil(t, m, want)
		if c.file[0] != 'h' {
			require.ErrorIs(t, err, physmem.ErrUnsupported, want)
		}
		assert.ErrorContains(t, err, want)
	}
}

// TestAlone: a .vmem without a state of its own is raw memory that takes holes.
func TestAlone(t *testing.T) {
	t.Parallel()
	state, memory := coretest.VMware{Regions: ranges}.Write(t, guest(), cpus())
	inside, _ := coretest.VMware{Regions: ranges, Embedded: true}.Write(t, guest(), cpus())
	for name, c := range map[string]struct {
		dir  folder
		want []physmem.OddityKind
	}{
		"no state":            {folder{"a.vmem": bytes.NewReader(memory), "win.vmss": bytes.NewReader(state)}, []physmem.OddityKind{physmem.OddityUntried, physmem.OddityTorn}},
		"a running machine's": {folder{"a.vmem": bytes.NewReader(memory), "a.vmem.lck": nil}, []physmem.OddityKind{physmem.OddityUntried, physmem.OddityTorn}},
		"garbage beside":      {folder{"a.vmem": bytes.NewReader(memory), "a.vmss": bytes.NewReader([]byte("garbage"))}, []physmem.OddityKind{physmem.OddityNoteSkipped, physmem.OddityUntried, physmem.OddityTorn}},
		"another's state":     {folder{"a.vmem": bytes.NewReader(memory), "a.vmss": bytes.NewReader(inside)}, []physmem.OddityKind{physmem.OddityNoteSkipped, physmem.OddityUntried, physmem.OddityTorn}},
	} {
		m, err := c.dir.image(t.Context(), "a.vmem")
		require.NoError(t, err, name)
		assert.Equal(t, c.want, fixture.Kinds(m), name)
		assert.Empty(t, m.CPUs())
		require.True(t, m.TakesHoles())
		require.NoError(t, physmemtest.Test(m, []physmem.Range{{Size: 0x8000}}, nil))
		m, err = m.WithHoles([]physmem.Range{{Start: 0x5000, Size: 0x100000000 - 0x5000}})
		require.NoError(t, err)
		require.NoError(t, physmemtest.Test(m, ranges, fixture.PatternAt))
		assert.Equal(t, c.want, fixture.Kinds(m))
		assert.Contains(t, m.Describe(), "VMware memory of 32 KiB without its state; no file of VMware's own was tried; without [0x5000, 0x100000000)")
	}
	// A garbage .vmss does not hide a good .vmsn; names keep the case of their endings.
	d := folder{"a.vmem": bytes.NewReader(memory), "a.vmss": bytes.NewReader([]byte("garbage")), "a.vmsn": bytes.NewReader(state)}
	m, err := d.image(t.Context(), "a.vmem")
	require.NoError(t, err)
	assert.Len(t, m.CPUs(), 2)
	d = folder{"A.VMEM": bytes.NewReader(memory), "A.VMSN": bytes.NewReader(state)}
	for name := range d {
		m, err := d.image(t.Context(), name)
		require.NoError(t, err)
		assert.Len(t, m.CPUs(), 2)
	}
}

// TestTorn: memory that may be later than its state.
func TestTorn(t *testing.T) {
	t.Parallel()
	state, memory := coretest.VMware{Regions: ranges, Magic: 0xbad1bad1}.Write(t, guest(), cpus())
	m, err := pair(state, memory).image(t.Context(), "win.vmem")
	require.NoError(t, err)
	assert.Equal(t, []physmem.OddityKind{physmem.OddityTorn, physmem.OddityUntried}, fixture.Kinds(m))
	binary.LittleEndian.PutUint32(state, 0xbed2bed2)
	d := pair(state, memory)
	d["win.vmem.lck"] = nil
	for _, name := range []string{"win.vmss", "win.vmem"} {
		m, err := d.image(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, []physmem.OddityKind{physmem.OddityTorn, physmem.OddityUntried}, fixture.Kinds(m))
	}
}

// TestSizes: memory that is shorter or longer than the state says.
func TestSizes(t *testing.T) {
	t.Parallel()
	state, memory := coretest.VMware{Regions: ranges}.Write(t, guest(), cpus())
	m, err := pair(state, memory[:0x6800]).image(t.Context(), "win.vmss")
	require.NoError(t, err)
	assert.Contains(t, m.Cut(), "the file is cut: 6.0 of 32 KiB are missing")
	require.NoError(t, physmemtest.Test(m, []physmem.Range{ranges[0], {Start: 0x100000000, Size: 0x1800}}, fixture.PatternAt))
	m, err = pair(state, append(memory, 1)).image(t.Context(), "win.vmss")
	require.NoError(t, err)
	assert.Equal(t, []physmem.OddityKind{physmem.OddityCount, physmem.OddityUntried}, fixture.Kinds(m))
	_, err = pair(state, []byte{}).image(t.Context(), "win.vmss")
	var format *physmem.FormatError
	require.ErrorAs(t, err, &format)
	assert.NotNil(t, format.Cut)
}

// TestCut: a state that ends anywhere is an error or says that it is cut, and what it
// gives is right.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, v := range []coretest.VMware{{Regions: ranges, Embedded: true}, {Regions: ranges, Blocks: true}} {
		state, memory := v.Write(t, guest(), cpus())
		step := 1
		if testing.Short() {
			step = 7 // all of them take seconds
		}
		for n := 0; n < len(state); n += step * (1 + min(16, n/0x100)) {
			m, err := pair(state[:n], memory).image(t.Context(), "win.vmss")
			if err != nil {
				require.Nil(t, m)
				continue
			}
			require.NotEmpty(t, m.Cut(), "cut to 0x%x", n)
			if memory == nil {
				fixture.CheckImage(t, m, state[:n])
			} else {
				fixture.CheckImage(t, m, memory)
			}
		}
	}
}

// TestCutBeforeMemory: a state that ends before it says where the memory lies leaves the
// holes to be found; its registers are kept.
func TestCutBeforeMemory(t *testing.T) {
	t.Parallel()
	state, memory := coretest.VMware{Regions: ranges}.Write(t, guest(), cpus())
	cut := bytes.Index(state, []byte("align_mask")) - 2
	for _, name := range []string{"win.vmss", "win.vmem"} {
		m, err := pair(state[:cut], memory).image(t.Context(), name)
		require.NoError(t, err)
		require.True(t, m.TakesHoles())
		assert.Len(t, m.CPUs(), 2)
		m, err = m.WithHoles([]physmem.Range{{Start: 0x5000, Size: 0x100000000 - 0x5000}})
		require.NoError(t, err)
		assert.Len(t, m.CPUs(), 2)
		assert.NotEmpty(t, m.Cut())
		require.NoError(t, physmemtest.Test(m, ranges, fixture.PatternAt))
	}
}

// TestReadErrors: a file that fails is an error of reading, wherever.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("bad sector")
	state, memory := coretest.VMware{Regions: ranges}.Write(t, guest(), cpus())
	for at := int64(0); at < int64(len(state)); at += 0x40 {
		d := pair(state, memory)
		d["win.vmss"] = failing{bytes.NewReader(state), at, broken}
		for _, name := range []string{"win.vmss", "win.vmem"} {
			_, err := d.image(t.Context(), name)
			require.ErrorIs(t, err, broken)
			var read *physmem.ReadError
			require.ErrorAs(t, err, &read)
		}
	}
	flaky := &fixture.Flaky{ReaderAt: bytes.NewReader(memory)}
	d := pair(state, memory)
	d["win.vmem"] = sized{flaky, int64(len(memory))}
	m, err := d.image(t.Context(), "win.vmss")
	require.NoError(t, err)
	flaky.Fail(broken)
	_, err = m.ReadAt(make([]byte, 8), 0)
	require.ErrorIs(t, err, broken)
}

// TestBadSectors: a .vmem file is known by its name: what a failing disk does not give of
// its beginning is missing memory, and keeps nobody from the rest.
func TestBadSectors(t *testing.T) {
	t.Parallel()
	state, memory := coretest.VMware{Regions: ranges}.Write(t, guest(), cpus())
	for at := int64(0); at < 0x3000; at += physmem.PageSize {
		for _, d := range []folder{pair(state, nil), {}} {
			d["win.vmem"] = failing{bytes.NewReader(memory), at, syscall.EIO}
			m, err := d.image(t.Context(), "win.vmem")
			require.NoError(t, err, at)
			assert.Len(t, m.CPUs(), len(d)*2-2)
			m, err = m.Readable(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []physmem.Range{{Start: binio.Uint64(at), Size: physmem.PageSize}}, m.Missing(physmem.Range{Size: 0x5000}))
		}
	}
	_, err := folder{"win.raw": failing{bytes.NewReader(memory), 0, syscall.EIO}}.image(t.Context(), "win.raw")
	require.ErrorIs(t, err, syscall.EIO)
}

// failing is a file of which the byte at an offset can't be read.
type failing struct {
	*bytes.Reader
	at  int64
	err error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		n, _ := f.Reader.ReadAt(p[:f.at-off], off)
		return n, f.err
	}
	return f.Reader.ReadAt(p, off)
}

type sized struct {
	io.ReaderAt
	size int64
}

func (s sized) Size() int64 { return s.size }

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	d := folder{"win.vmss": endless{head: tags("cpu", nil), tag: []byte{1, 1, 'x', 0}}}
	_, err := d.image(ctx, "win.vmss")
	require.ErrorIs(t, err, over)
}
