package triagefile

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr"
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
)

// sample is a triage dump with something of all there is.
func sample() *Contents {
	fill := func(n int, with byte) []byte { return bytes.Repeat([]byte{with}, n) }
	return &Contents{
		ServicePackBuild: 0x100, TriageOptions: OptionsAll, TopOfStack: 0x8bc01230,
		MM:       &MM{SpecialPoolTag: 1, KernelVerifier: 2, CommittedPages: 3, CommitLimitMaximum: 4},
		Unloaded: []Unloaded{{Name: "dump_storah", StartAddress: 0x80100000, EndAddress: 0x80110000}, {}},
		Prcb:     fill(0x123, 1), Process: fill(0x40, 2), Thread: fill(0x38, 3), Stack: fill(0x1c4, 4), DebuggerData: fill(0x360, 5),
		Drivers: []Driver{
			{Name: `\SystemRoot\system32\ntoskrnl.exe`, DllBase: 0x82a00000, SizeOfImage: 0x412000, CheckSum: 0x12345, TimeDateStamp: 0x5f000000},
			{Name: "odd 🦆 name.sys", DllBase: 0x8b000000, EntryPoint: 0x8b001000, SizeOfImage: 0x1000},
			{},
		},
		Blocks: []Block{{Address: 0x82a01000, Data: fill(0x1000, 6)}, {Address: 0x1000, Data: fill(3, 7)}, {Address: 0x8bc01230, Data: fill(1, 8)}},
		Secondary: []Blob{
			{Tag: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Data: []byte("hello")},
			{Tag: [16]byte{9}, Data: []byte("12345678")},
			{},
		},
		SecondaryBuild: 19041,
	}
}

// fileOf is the file of a triage dump.
func fileOf(tb testing.TB, f *winhdr.Format, t *Contents) []byte {
	tb.Helper()
	pieces, err := t.Pieces(f.New())
	require.NoError(tb, err)
	b := slices.Concat(pieces...)
	require.Len(tb, b, int(t.Size(f)))
	return b
}

// reread decodes a triage dump into what it was made of. The sizes of parts that
// KDBG says are those of want.
func reread(tb testing.TB, b []byte, want *Contents) *Contents {
	tb.Helper()
	h, err := winhdr.Decode(b)
	require.NoError(tb, err)
	require.Equal(tb, winhdr.DumpTypeTriage, h.DumpType)
	require.EqualValues(tb, len(b), h.RequiredDumpSpace)
	file, err := Read(h, bytes.NewReader(b), int64(len(b)))
	require.NoError(tb, err)
	r := &file.Record
	whole, err := file.Complete()
	require.NoError(tb, err)
	require.True(tb, whole)
	got := &Contents{ServicePackBuild: r.ServicePackBuild, TriageOptions: r.TriageOptions, TopOfStack: r.TopOfStack}
	got.MM, err = file.MM()
	require.NoError(tb, err)
	got.Unloaded, err = file.Unloaded()
	require.NoError(tb, err)
	part := func(at uint32, size int) []byte {
		p, err := file.Read("part", Part{Offset: at, Size: uint32(size)})
		require.NoError(tb, err)
		return p
	}
	got.Prcb, got.Process, got.Thread = part(r.PrcbOffset, len(want.Prcb)), part(r.ProcessOffset, len(want.Process)), part(r.ThreadOffset, len(want.Thread))
	got.Stack, got.DebuggerData = part(r.CallStackOffset, int(r.SizeOfCallStack)), part(r.DebuggerDataOffset, int(r.DebuggerDataSize))
	drivers, err := file.Drivers()
	require.NoError(tb, err)
	for _, d := range drivers {
		require.NoError(tb, d.NameErr)
		got.Drivers = append(got.Drivers, d.Driver)
	}
	blocks, err := file.Blocks()
	require.NoError(tb, err)
	for _, s := range blocks {
		got.Blocks = append(got.Blocks, Block{Address: s.Address, Data: part(s.Offset, int(s.Size))})
	}
	blobs, err := file.Blobs()
	require.NoError(tb, err)
	for _, s := range blobs {
		got.Secondary = append(got.Secondary, Blob{Tag: s.Tag, Data: b[s.Offset:][:s.Size]})
	}
	got.SecondaryBuild = want.SecondaryBuild
	return got
}

// same compares parts; nil and empty data are the same.
func same(tb testing.TB, want, got *Contents) {
	tb.Helper()
	assert.Equal(tb, fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got))
	assert.Equal(tb, want.MM, got.MM)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, f := range winhdr.Formats() {
		want := sample()
		got := reread(t, fileOf(t, f, want), want)
		want.MM, got.MM = nil, nil
		same(t, want, got)
		for name, change := range map[string]func(t *Contents){
			"nothing":     func(t *Contents) { *t = Contents{} },
			"no list":     func(t *Contents) { t.Unloaded = nil },
			"empty list":  func(t *Contents) { t.Unloaded = []Unloaded{} },
			"no blobs":    func(t *Contents) { t.Secondary, t.SecondaryBuild = nil, 0 },
			"no blocks":   func(t *Contents) { t.Blocks = nil },
			"no drivers":  func(t *Contents) { t.Drivers = nil },
			"odd numbers": func(t *Contents) { t.Blocks = t.Blocks[1:2] },
		} {
			want := sample()
			change(want)
			want.MM = nil
			t.Run(name, func(t *testing.T) { same(t, want, reread(t, fileOf(t, f, want), want)) })
		}
	}
}

// TestOffsets: where the fields stand in the files of Windows.
func TestOffsets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		f    *winhdr.Format
		want map[string]int
	}{
		{winhdr.X64, map[string]int{
			"SizeOfDump": 4, "ContextOffset": 0xc, "MmOffset": 0x14, "PrcbOffset": 0x1c, "CallStackOffset": 0x28, "DriverListOffset": 0x30,
			"TriageOptions": 0x44, "TopOfStack": 0x48, "DataPageAddress": 0x60, "DebuggerDataOffset": 0x70, "DataBlocksOffset": 0x78, "DataBlocksCount": 0x7c,
		}},
		{winhdr.X86, map[string]int{
			"SizeOfDump": 4, "ContextOffset": 0xc, "MmOffset": 0x14, "PrcbOffset": 0x1c, "CallStackOffset": 0x28, "DriverListOffset": 0x30,
			"TriageOptions": 0x44, "TopOfStack": 0x48, "DataPageAddress": 0x4c, "DebuggerDataOffset": 0x58, "DataBlocksOffset": 0x60, "DataBlocksCount": 0x64,
		}},
	} {
		for name, at := range tt.want {
			field, ok := tt.f.Triage.Record.Field(name)
			require.True(t, ok, name)
			assert.Equal(t, at, field.Offset, name)
		}
	}
	for name, at := range map[string]int{"DllBase": 8 + 0x30, "EntryPoint": 8 + 0x38, "SizeOfImage": 8 + 0x40, "CheckSum": 8 + 0x78, "TimeDateStamp": 8 + 0x80} {
		field, _ := winhdr.X64.Triage.Driver.Field(name)
		assert.Equal(t, at, field.Offset, name)
	}
	for name, at := range map[string]int{"DllBase": 4 + 0x18, "EntryPoint": 4 + 0x1c, "SizeOfImage": 4 + 0x20, "CheckSum": 4 + 0x40, "TimeDateStamp": 4 + 0x44} {
		field, _ := winhdr.X86.Triage.Driver.Field(name)
		assert.Equal(t, at, field.Offset, name)
	}
}

// TestHeader: what of the header makes a dump a triage dump's, and that
// nothing else is changed.
func TestHeader(t *testing.T) {
	t.Parallel()
	for _, f := range winhdr.Formats() {
		h := f.New()
		h.BugCheckCode, h.KdDebuggerDataBlock = 0x50, 0x82a10000
		before := h.Encode()
		pieces, err := sample().Pieces(h)
		require.NoError(t, err)
		assert.Equal(t, before, h.Encode())
		got, err := winhdr.Decode(pieces[0])
		require.NoError(t, err)
		assert.EqualValues(t, winhdr.TriageFields, f.Header.Load(pieces[0], "MiniDumpFields"))
		assert.Equal(t, problem.Fill, got.RunTable().Count)
		assert.Equal(t, h.BugCheckCode, got.BugCheckCode)
	}
}

// TestHostile: numbers that lead out of the file are errors, and cost nothing.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, f := range winhdr.Formats() {
		for field, read := range map[string]func(t *File) error{
			"MmOffset":              func(t *File) error { _, err := t.MM(); return err },
			"UnloadedDriversOffset": func(t *File) error { _, err := t.Unloaded(); return err },
			"DriverListOffset":      func(t *File) error { _, err := t.Drivers(); return err },
			"DriverCount":           func(t *File) error { _, err := t.Drivers(); return err },
			"DataBlocksOffset":      func(t *File) error { _, err := t.Blocks(); return err },
			"DataBlocksCount":       func(t *File) error { _, err := t.Blocks(); return err },
		} {
			b := fileOf(t, f, sample())
			f.Triage.Record.Store(b[f.Size():], field, 0xffffff00)
			h, err := winhdr.Decode(b)
			require.NoError(t, err)
			file, err := Read(h, bytes.NewReader(b), int64(len(b)))
			require.NoError(t, err)
			var bad *Error
			require.ErrorAs(t, read(file), &bad, field)
		}
	}
}

// FuzzFile reads damaged triage dumps: an error or a value, bounded; and what was
// read and is written again reads the same.
func FuzzFile(f *testing.F) {
	var files [][]byte
	for _, format := range winhdr.Formats() {
		files = append(files, fileOf(f, format, sample()))
	}
	f.Add(uint16(0), uint32(0), uint16(0), uint8(0))
	f.Add(uint16(4), uint32(0x2100), uint16(0), uint8(0))
	f.Add(uint16(0x30), uint32(0x2400), uint16(3), uint8(1))
	f.Add(uint16(0x7c), uint32(0xffffffff), uint16(0), uint8(0))
	f.Fuzz(func(t *testing.T, at uint16, v uint32, cut uint16, which uint8) {
		b := bytes.Clone(files[int(which)%len(files)])
		h, err := winhdr.Decode(b)
		require.NoError(t, err)
		if room := b[h.Size()+int(at)%0x800:]; len(room) >= 4 {
			(fields.Field{Size: 4, Count: 1}).Store(room, 0, uint64(v))
		}
		b = b[:max(len(b)-int(cut), 0)]
		file, err := Read(h, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			require.Nil(t, file)
			return
		}
		got := &Contents{TopOfStack: pointer(h.Format(), file.Record.TopOfStack)}
		if _, err := file.MM(); err != nil {
			require.ErrorAs(t, err, new(*Error))
		}
		if got.Unloaded, err = file.Unloaded(); err != nil {
			require.ErrorAs(t, err, new(*Error))
		}
		drivers, err := file.Drivers()
		if err != nil {
			require.ErrorAs(t, err, new(*Error))
		}
		require.LessOrEqual(t, len(drivers), MaxDrivers)
		for _, d := range drivers {
			got.Drivers = append(got.Drivers, d.Driver)
		}
		blocks, err := file.Blocks()
		if err != nil {
			require.ErrorAs(t, err, new(*Error))
		}
		for _, s := range blocks {
			data, err := file.Read("block", s.Part)
			if err != nil {
				require.ErrorAs(t, err, new(*Error))
			}
			got.Blocks = append(got.Blocks, Block{Address: pointer(h.Format(), s.Address), Data: data})
		}
		blobs, err := file.Blobs()
		if err != nil {
			require.ErrorAs(t, err, new(*Error))
		}
		for _, s := range blobs {
			require.LessOrEqual(t, s.Offset+uint64(s.Size), uint64(len(b)))
			got.Secondary = append(got.Secondary, Blob{Tag: s.Tag, Data: b[s.Offset:][:s.Size]})
		}
		same(t, got, reread(t, fileOf(t, h.Format(), got), got))
	})
}

func TestTagText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "04030201-0605-0807-090a-0b0c0d0e0f10", TagText(sample().Secondary[0].Tag))
}
