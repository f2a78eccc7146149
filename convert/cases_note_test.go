package convert_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// noted is a core with a guest's note, to be spoilt in place.
type noted struct {
	tb     testing.TB
	file   []byte
	name   int // where the note's name stands
	header []byte
	format *winhdr.Format
}

func newNoted(tb testing.TB, file []byte) *noted {
	tb.Helper()
	n := &noted{tb: tb, file: testheap.Clone(tb, file)}
	n.name = bytes.Index(n.file, []byte("VMCOREINFO\x00"))
	require.Positive(tb, n.name)
	n.header = n.file[n.name+12:]
	var ok bool
	n.format, ok = winhdr.Recognise(n.header)
	require.True(tb, ok)
	n.header = n.header[:n.format.Size()]
	return n
}

// without is the same core without the note.
func (n *noted) without() []byte {
	b := testheap.Clone(n.tb, n.file)
	copy(b[n.name:], "NOTHINGATA")
	return b
}

// put writes into a field of the header.
func (n *noted) put(field string, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	f, _ := n.format.Header.Field(field)
	copy(n.header[f.Offset:f.Offset+min(f.Size, 8)], b[:])
}

func (n *noted) get(field string) uint64 {
	var b [8]byte
	f, _ := n.format.Header.Field(field)
	copy(b[:], n.header[f.Offset:f.Offset+min(f.Size, 8)])
	return binary.LittleEndian.Uint64(b[:])
}

// shift moves every address in the header to where another boot had its kernel.
func (n *noted) shift() {
	for _, field := range []string{"PfnDataBase", "PsLoadedModuleList", "PsActiveProcessHead", "KdDebuggerDataBlock"} {
		n.put(field, n.get(field)+0x3c00000)
	}
	n.put("BugCheckParameters", n.get("BugCheckParameters")+0x12340000)
}

const page4 = 0x4547415045474150 // "PAGEPAGE"

// spoiltNotes are notes of no use.
var spoiltNotes = []struct {
	name  string
	want  string
	spoil func(n *noted)
}{
	{"random bytes", finding.NoteUseless.ID(), func(n *noted) {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range n.header {
			n.header[i] = byte(r.Uint32())
		}
	}},
	{"zeros", finding.NoteUseless.ID(), func(n *noted) { clear(n.header) }},
	{"ones", finding.NoteUseless.ID(), func(n *noted) { copy(n.header, bytes.Repeat([]byte{0xff}, len(n.header))) }},
	{"text of another system", finding.NoteUseless.ID(), func(n *noted) {
		clear(n.header)
		copy(n.header, "VERSION=14.1-RELEASE\nKERNEL=/boot/kernel\x1b[31m\n")
	}},
	{"a header of another machine", finding.NoteUseless.ID(), func(n *noted) { n.put("MachineImageType", wincontext.MachineIA64) }},
	{"half a header", finding.NoteUseless.ID(), func(n *noted) { n.cut(0x800) }},
	{"a signature", finding.NoteUseless.ID(), func(n *noted) { n.cut(8) }},
	{"four bytes", finding.NoteUseless.ID(), func(n *noted) { n.cut(4) }},
	{"no bytes", finding.NoteUseless.ID(), func(n *noted) { n.cut(0) }},
	{"no field was set", finding.NoteStale.ID(), func(n *noted) { problem.PageFill(n.header[8:n.format.Offset("NumberOfRuns")]) }},
	{"zeros behind the signatures", finding.NoteStale.ID(), func(n *noted) { clear(n.header[8:n.format.Offset("NumberOfRuns")]) }},
	{"another boot", finding.NoteStale.ID(), func(n *noted) {
		n.shift()
		n.put("DirectoryTableBase", 0x1ad000)
	}},
	{"another boot, the same page tables", finding.NoteStale.ID(), (*noted).shift},
	{"another boot, the same KDBG", finding.NoteStale.ID(), func(n *noted) {
		n.put("PsLoadedModuleList", n.get("PsLoadedModuleList")+0x10)
	}},
	{"KDBG and its copy were not set", finding.NoteStale.ID(), func(n *noted) {
		n.put("KdDebuggerDataBlock", page4)
		n.put("BugCheckParameters", page4)
	}},
	{"KDBG, its copy and the page tables were not set", finding.NoteStale.ID(), func(n *noted) {
		n.put("KdDebuggerDataBlock", page4)
		n.put("BugCheckParameters", 0)
		n.put("DirectoryTableBase", page4)
	}},
}

// cut shortens the note; what is behind it stays.
func (n *noted) cut(size int) {
	binary.LittleEndian.PutUint32(n.file[n.name-8:], uint32(size))
	// A note that nobody reads takes the rest.
	at := n.name + 12 + size
	if room := n.format.Size() - size; room >= 24 {
		binary.LittleEndian.PutUint32(n.file[at:], 8)
		binary.LittleEndian.PutUint32(n.file[at+4:], uint32(room-20))
		copy(n.file[at+12:], "NOTHING\x00")
	}
}

// notedCores are guests of all kinds that left a note.
func notedCores(t *testing.T) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	names := []string{
		"shadow-user-2cpu", "x86-bsod-2cpu",
		"live-2cpu", "encoded-2cpu", "bsod-4cpu-q35", "odd-runs-2cpu", "la57-1cpu", "x86-nopae-2cpu", "x86-nopae-live-2cpu",
	}
	if testing.Short() {
		names = names[:2]
	}
	for _, name := range names {
		list[name] = gunzip(t, samplePath(name+".vmcore.gz"))
	}
	for name, opt := range map[string]guestsim.Options{
		"26100":  {Build: 26100, CPUs: 2, Encoded: true, Seed: 3},
		"9600":   {Build: 9600, BugCheck: crash, Seed: 4},
		"shadow": {CPUs: 3, Shadow: true, UserMode: []int{0, 1, 2}, PCID: true},
		"no CPU": {Encoded: true, File: noCPUs},
	} {
		list[name] = guestsim.New(opt).ELF()
	}
	return list
}

// TestNoteOfNoUse: with such a note the dump is the one without a note, and a warning
// says so.
func TestNoteOfNoUse(t *testing.T) {
	t.Parallel()
	for name, core := range notedCores(t) {
		want, _, err := convertBytes(t, newNoted(t, core).without(), convert.Options{})
		require.NoError(t, err, name)
		for i, s := range spoiltNotes {
			if underRace && i%5 > 0 || testing.Short() && len(core) > 1<<20 && i%3 > 0 {
				continue
			}
			t.Run(name+" "+s.name, func(t *testing.T) {
				t.Parallel()
				n := newNoted(t, core)
				s.spoil(n)
				got, r, err := convertBytes(t, n.file, convert.Options{})
				require.NoError(t, err)
				equalButFor(t, want, got, nil)
				assert.Equal(t, "WARN", r.Verdict)
				f := findingOf(r, s.want)
				require.NotNil(t, f, "%v", ids(r))
				assert.LessOrEqual(t, strings.Count(f.Message, "PAGEDU64"), 1, f.Message)
				assert.Contains(t, f.Where, "file offset 0x")
				assert.NotContains(t, f.Message, "\n")
				assert.NotContains(t, f.Message, "\x1b")
				assert.NotContains(t, ids(r), finding.HeaderRepaired.ID(), "what is not believed is not repaired")
				assert.NotContains(t, ids(r), finding.NoHeader.ID())
			})
		}
	}
}

// TestNoteOfKdump: the same in a kdump-compressed file, of the guest of another sample.
func TestNoteOfKdump(t *testing.T) {
	t.Parallel()
	want, _, err := convertBytes(t, newNoted(t, gunzip(t, samplePath("live-2cpu.vmcore.gz"))).without(), convert.Options{})
	require.NoError(t, err)
	kdump := gunzip(t, samplePath("live-2cpu.kdump.gz"))
	for _, s := range spoiltNotes {
		t.Run(s.name, func(t *testing.T) {
			n := newNoted(t, kdump)
			s.spoil(n)
			got, r, err := convertBytes(t, n.file, convert.Options{})
			require.NoError(t, err)
			equalButFor(t, want, got, []allowed{{"Comment", 0xfb0, 128}})
			assert.Equal(t, "WARN", r.Verdict)
		})
	}
}

// TestStaleRoot: a note whose page tables are gone, while the vCPUs run on others or
// on shadow ones, is right but for them: the System process' are written.
func TestStaleRoot(t *testing.T) {
	t.Parallel()
	for name, core := range notedCores(t) {
		if name == "no CPU" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNoted(t, core)
			want, _, err := convertBytes(t, core, convert.Options{})
			require.NoError(t, err)
			n.put("DirectoryTableBase", 0x3de000)
			got, r, err := convertBytes(t, n.file, convert.Options{})
			require.NoError(t, err)
			equalButFor(t, want, got, nil)
			f := findingOf(r, finding.DTBReplaced.ID())
			require.NotNil(t, f)
			assert.Contains(t, f.Message, "the System process'")
		})
	}
}

// TestProcessRoot: the page tables of some process do map the kernel, as long as it
// lives; the header has the System process'.
func TestProcessRoot(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"the note", "the vCPU"} {
		g := guestsim.New(guestsim.Options{CPUs: 2, Encoded: true})
		want, _, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		process := g.Runs()[0].Start
		for free := false; !free; process += 0x1000 {
			free = !slices.ContainsFunc(g.ReadPhys(process, 0x1000), func(b byte) bool { return b != 0 })
		}
		process -= 0x1000
		g.WritePhys(process, g.ReadPhys(g.DTB, 0x1000))
		stale := process
		if in == "the vCPU" {
			stale = 0x5000000
			g.VCPUs[0].CR3, g.VCPUs[1].CR3 = process, process
		}
		binary.LittleEndian.PutUint64(g.Header()[0x10:], stale)
		got, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		require.NotNil(t, findingOf(r, finding.DTBReplaced.ID()), in)
		assert.Equal(t, u64(want, 0x10), u64(got, 0x10), in)
	}
}

// earlierBoot is a guest whose memory holds, above its own, all of another that ran
// before it: page tables, KDBG, lists; and the note is that one's.
func earlierBoot(opt, earlier guestsim.Options) (now, before *guestsim.Guest) {
	own := guestsim.Range{Start: 0x1000, Size: 0x1ff000}
	old := guestsim.Range{Start: 0x400000, Size: 0x200000}
	earlier.RAM = []guestsim.Range{old}
	opt.RAM, opt.Runs = []guestsim.Range{own, old}, []guestsim.Range{own}
	now, before = guestsim.New(opt), guestsim.New(earlier)
	now.WritePhys(old.Start, before.ReadPhys(old.Start, int(old.Size)))
	copy(now.Header(), before.Header())
	return now, before
}

// TestNoteOfEarlierBoot: the note leads to a kernel of which all is there, but the
// vCPUs run another.
func TestNoteOfEarlierBoot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ now, before guestsim.Options }{
		{guestsim.Options{CPUs: 2}, guestsim.Options{CPUs: 2, Build: 9600}},
		{guestsim.Options{CPUs: 2, Encoded: true, Build: 26100}, guestsim.Options{Seed: 8}},
		{guestsim.Options{CPUs: 2}, guestsim.Options{CPUs: 2, Seed: 9}}, // the same addresses
		{guestsim.Options{CPUs: 2, Shadow: true, UserMode: []int{0, 1}}, guestsim.Options{Encoded: true, CPUs: 3}},
	} {
		now, _ := earlierBoot(tt.now, tt.before)
		got, r, err := convertSim(t, now, convert.Options{})
		require.NoError(t, err)
		now.Options.File.NoGuestNote = true
		want, _, err := convertSim(t, now, convert.Options{})
		require.NoError(t, err)
		assert.Equal(t, now.DTB, u64(got, 0x10))
		assert.Equal(t, now.KDBG, u64(got, 0x80))
		equalButFor(t, want, got, nil)
		f := findingOf(r, finding.NoteStale.ID())
		require.NotNil(t, f)
		assert.Contains(t, f.Message, "of an earlier boot")
	}
}

// TestNoteWithoutWord: where no vCPU tells what it runs, the note's kernel is believed.
func TestNoteWithoutWord(t *testing.T) {
	t.Parallel()
	for name, poke := range map[string]func(g *guestsim.Guest){
		"no vCPUs": func(g *guestsim.Guest) { g.Options.File.NoCPUNotes = true },
		"vCPUs in a hypervisor": func(g *guestsim.Guest) {
			runsIn(g, 0xfffff80720000000, guestsim.ImageIdentity{Size: 0x10000, Export: "hvix64.exe", PDB: "hvix64.pdb"})
		},
		"vCPUs without paging": func(g *guestsim.Guest) {
			for i := range g.VCPUs {
				g.VCPUs[i].CR0, g.VCPUs[i].CR3 = 0x10, 0
			}
		},
	} {
		g := guestsim.New(guestsim.Options{CPUs: 2, RAM: []guestsim.Range{{Start: 0x1000, Size: 0x60000}}})
		poke(g)
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err, name)
		assert.Equal(t, g.KDBG, u64(dmp, 0x80), name)
		assert.NotContains(t, ids(r), finding.NoteStale.ID(), name)
	}
}

// TestNoteGiven: addresses that are given lead past such a note as well.
func TestNoteGiven(t *testing.T) {
	t.Parallel()
	now, _ := earlierBoot(guestsim.Options{CPUs: 2, Encoded: true}, guestsim.Options{Build: 9600})
	opt := convert.Options{Guest: guest.Options{DTB: now.DTB, KDBG: now.KDBG}}
	got, r, err := convertSim(t, now, opt)
	require.NoError(t, err)
	require.NotNil(t, findingOf(r, finding.NoteStale.ID()))
	now.Options.File.NoGuestNote = true
	want, _, err := convertSim(t, now, opt)
	require.NoError(t, err)
	equalButFor(t, want, got, nil)
}

// withoutSharedPage is a guest whose KUSER_SHARED_DATA is mapped, and not in the file.
func withoutSharedPage() *guestsim.Guest {
	last := guestsim.Range{Start: 0x200000, Size: 0x1000}
	for seed := uint64(0); ; seed++ {
		g := guestsim.New(guestsim.Options{CPUs: 2, RAM: []guestsim.Range{{Start: 0x1000, Size: 0x80000}, last}, Seed: seed})
		if slices.ContainsFunc(g.ReadPhys(last.Start, int(last.Size)), func(b byte) bool { return b != 0 }) {
			continue // the guest uses it for something else
		}
		g.MapTo(guestsim.SharedUserData, last.Start, 1)
		g.Options.File.Length = last.Start
		return g
	}
}

// TestNoteFills: what memory does not say is taken from a note of the same kernel, and
// from no other.
func TestNoteFills(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{true, false} {
		g := withoutSharedPage()
		for _, p := range g.Processors {
			g.Write64(p.PCR+0x108, 0) // KdVersionBlock
		}
		g.Write(g.NtBuildLab, []byte{0xff})
		copy(g.Header()[0x40:], "PAGEPAGE")
		copy(g.Header()[0x80:], "PAGEPAGE")
		if same {
			g.Write64(g.Field("MmPhysicalMemoryBlock"), 0)
		} else {
			binary.LittleEndian.PutUint64(g.Header()[0x28:], g.PsActiveProcessHead+0x10)
		}
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err)
		require.NotNil(t, findingOf(r, finding.NoteStale.ID()))
		assert.Equal(t, same, findingOf(r, finding.NoteFills.ID()) != nil)
		if same {
			assert.Equal(t, uint32(19041), u32(dmp, 0xc))
			assert.Equal(t, uint64(guestsim.SystemTime-600e7), u64(dmp, 0xfa8))
			assert.Equal(t, uint32(1), u32(dmp, 0x1040))
			assert.NotNil(t, findingOf(r, finding.RunsKept.ID()))
		} else {
			assert.Equal(t, uint32(0), u32(dmp, 0xc))
			assert.Equal(t, uint64(page4), u64(dmp, 0xfa8))
		}
	}
}

// headerOf is the header of the dump that is planned of a core.
func headerOf(t *testing.T, core []byte) ([]byte, []finding.Finding) {
	t.Helper()
	im, err := physmemtest.Open(core)
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	p, err := plan.New(t.Context(), g, plan.Options{})
	require.NoError(t, err)
	return p.Header().Encode(), g.Findings()
}

// TestNoteFields: whatever stands in one field of the note, what is written in it is
// what is written without the note.
func TestNoteFields(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"live-2cpu", "x86-nopae-live-2cpu", "x86-bsod-2cpu"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := gunzip(t, samplePath(name+".vmcore.gz"))
			clean, n := newNoted(t, core), newNoted(t, core)
			want, _ := headerOf(t, clean.without())
			for _, field := range []string{
				"Signature", "ValidDump", "MajorVersion", "MinorVersion", "DirectoryTableBase", "PfnDataBase",
				"PsLoadedModuleList", "PsActiveProcessHead", "MachineImageType", "BugCheckCode",
				"BugCheckParameters", "PaeEnabled", "KdDebuggerDataBlock", "DumpType", "RequiredDumpSpace",
				"SystemTime", "SystemUpTime", "ProductType", "SuiteMask",
			} {
				f, ok := clean.format.Header.Field(field)
				if !ok {
					continue
				}
				for _, v := range []uint64{0, page4, ^uint64(0), clean.get(field) ^ 1, clean.get(field) + 0x1000} {
					copy(n.header, clean.header)
					n.put(field, v)
					got, findings := headerOf(t, n.file)
					if slices.ContainsFunc(findings, func(f finding.Finding) bool { return f.ID == finding.KDBGCopy.ID() }) {
						continue // the driver's copy of the block is as good
					}
					assert.Equal(t, want[f.Offset:f.Offset+f.Size], got[f.Offset:f.Offset+f.Size], "%s %#x", field, v)
				}
			}
		})
	}
}

// TestNoteUnset: fields that Windows did not set are no fault of the note; what the
// kernel says of them is written.
func TestNoteUnset(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	want, with, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	copy(g.Header()[0x1040:], "PAGEPAGE") // ProductType, SuiteMask
	got, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	equalButFor(t, want, got, nil)
	assert.Equal(t, with.Verdict, r.Verdict)
}
