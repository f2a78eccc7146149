package convert_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/coretest"
	"windmp/internal/guestsim"
	"windmp/internal/qemutest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/physmem/open"
)

// vmwareFiles writes a guest as VMware would, and returns the folder and the names of
// the state and of the memory.
func vmwareFiles(t *testing.T, v coretest.VMware, m *physmem.Image) (dir string) {
	t.Helper()
	dir = t.TempDir()
	state, memory := v.Write(t, m, m.CPUs())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Win-Snapshot1.vmsn"), state, 0o400))
	if memory != nil {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Win-Snapshot1.vmem"), memory, 0o400))
	}
	return dir
}

// vmwareInMemory is the folder that [vmwareFiles] writes, in memory.
func vmwareInMemory(t *testing.T, v coretest.VMware, m *physmem.Image) vmwareFolder {
	t.Helper()
	state, memory := v.Write(t, m, m.CPUs())
	folder := vmwareFolder{"Win-Snapshot1.vmsn": inFolder(state)}
	if memory != nil {
		folder["Win-Snapshot1.vmem"] = inFolder(memory)
	}
	return folder
}

// withoutHostNote is a core without the note that the guest left with its host, which
// VMware has no place for.
func withoutHostNote(tb testing.TB, core []byte) []byte {
	tb.Helper()
	b, name := testheap.Clone(tb, core), []byte("VMCOREINFO\x00")
	for at := bytes.Index(b, name); at >= 0; at = bytes.Index(b, name) {
		copy(b[at:], "nothing***")
	}
	return b
}

// vmwareShapes are the ways in which VMware's products keep a guest.
var vmwareShapes = []struct {
	name string
	v    coretest.VMware
}{
	{"memory beside", coretest.VMware{}},
	{"memory beside, registers in blocks", coretest.VMware{Blocks: true, RBPFirst: true}},
	{"memory inside", coretest.VMware{Embedded: true, Padding: 0xf37}},
	{"memory inside, no regions", coretest.VMware{Embedded: true, NoRegions: true, Blocks: true}},
	{"old lengths", coretest.VMware{Magic: 0xbed2bed0, Embedded: true, Padding: 5}},
	{"the oldest magic", coretest.VMware{Magic: 0xbed0bed0}},
	{"partial", coretest.VMware{Magic: 0xbed3bed3, Blocks: true}},
	{"no regions", coretest.VMware{NoRegions: true}},
	{"three regions, out of order", coretest.VMware{Regions: []physmem.Range{{Start: 0x200000, Size: 0x200000}, {Start: 0x100000, Size: 0x100000}, {Size: 0x100000}}}},
}

// TestVMwareSource: the dump of a guest in VMware's files is, in every byte, that of the
// same guest in QEMU's core without the guest's note, registers included.
func TestVMwareSource(t *testing.T) {
	t.Parallel()
	for n, s := range []string{
		"guest-bsod.vmcore", "live-2cpu.vmcore.gz", "bsod-4cpu-q35.vmcore.gz", "encoded-2cpu.vmcore.gz", "shadow-user-2cpu.vmcore.gz",
		"swapcpu-3cpu.vmcore.gz", "la57-1cpu.vmcore.gz", "odd-runs-2cpu.vmcore.gz", "x86-bsod-2cpu.vmcore.gz", "x86-nopae-live-2cpu.vmcore.gz",
	} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			core := withoutHostNote(t, gunzip(t, s))
			want, with, err := convertBytes(t, core, convert.Options{})
			require.NoError(t, err)
			m := imageOf(t, core)
			for i, shape := range vmwareShapes {
				if testing.Short() && s != "live-2cpu.vmcore.gz" && i != n%len(vmwareShapes) {
					continue // the shape has nothing to do with what is in the memory
				}
				v := shape.v
				v.Narrow = physmem.X86Of(m.CPUs()[0]).Is32
				if len(v.Regions) > 0 {
					end := coretest.VMwareRegions(m)[0].Size
					v.Regions = []physmem.Range{{Start: 0x200000, Size: end - 0x200000}, {Start: 0x100000, Size: 0x100000}, {Size: 0x100000}}
				}
				folder := vmwareInMemory(t, v, m)
				names := []string{"Win-Snapshot1.vmsn", "Win-Snapshot1.vmem"}
				if v.Embedded {
					names = names[:1]
				}
				for _, name := range names {
					got, r := convertAll(t, source.Of(folder.open(t, name)), convert.Options{})
					what := shape.name + ", " + name
					assert.Equal(t, "vmware", r.Input.Format, what)
					assert.Contains(t, r.Input.Description, "VMware ESX 4.1.0", what)
					equalButFor(t, want, got, []allowed{{"Comment, which names the source", commentAt(v.Narrow), 128}})
					assert.NotNil(t, findingOf(r, finding.FormatUntried.ID()), what)
					assert.Equal(t, worse(with), worse(r), what)
				}
			}
		})
	}
}

// commentAt is where a dump's header has its comment.
func commentAt(is32 bool) int64 {
	if is32 {
		return 0x820
	}
	return 0xfb0
}

// worse are the findings that are no mere information.
func worse(r *report.Report) []string {
	var list []string
	for _, f := range r.Findings {
		if f.Severity != finding.SeverityInfo {
			list = append(list, f.ID+" "+f.Message)
		}
	}
	return list
}

// vmwareFolder is a folder of files by their names, which take no space.
type vmwareFolder map[string]vmwareFile

// open opens a file of the folder, which has the others beside it.
func (f vmwareFolder) open(t *testing.T, name string) physmem.Source {
	t.Helper()
	src, err := vmwareFile{all: f}.OpenSibling(name)
	require.NoError(t, err)
	return src
}

type vmwareFile struct {
	io.ReaderAt
	name string
	size int64
	all  vmwareFolder
}

// inFolder is a file for a [vmwareFolder].
func inFolder(b []byte) vmwareFile {
	return vmwareFile{ReaderAt: bytes.NewReader(b), size: int64(len(b))}
}

func (f vmwareFile) Size() int64  { return f.size }
func (f vmwareFile) Name() string { return f.name }

func (f vmwareFile) OpenSibling(name string) (physmem.Source, error) {
	x, ok := f.all[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	x.name, x.all = name, f.all
	return x, nil
}

// TestVMwareHigh: memory above 4 GiB is where the state's regions have it; without the
// state the hole is found, as that of raw memory.
func TestVMwareHigh(t *testing.T) {
	t.Parallel()
	const gib, mib = 1 << 30, 1 << 20
	ram := []guestsim.Range{{Start: 0, Size: 3 * gib}, {Start: 4 * gib, Size: 600 * mib}}
	g := guestsim.New(guestsim.Options{CPUs: 2, RAM: ram, Runs: []guestsim.Range{{Start: 0x1000, Size: 3*gib - 0x1000}, {Start: 4 * gib, Size: 600 * mib}}})
	want := []physmem.Range{{Size: 3 * gib}, {Start: 4 * gib, Size: 600 * mib}}
	cpus := imageOf(t, guestsim.New(guestsim.Options{CPUs: 2}).ELF())
	state, _ := coretest.VMware{StateOnly: true, Regions: want}.Write(t, cpus, cpus.CPUs())
	file := rawFile{g, false}
	folder := vmwareFolder{
		"win.vmem":   {ReaderAt: file, size: file.size()},
		"win.vmss":   inFolder(state),
		"other.vmem": {ReaderAt: file, size: file.size()},
	}
	for _, name := range []string{"win.vmem", "win.vmss", "other.vmem"} {
		im, err := open.Source(t.Context(), folder.open(t, name), open.Options{})
		require.NoError(t, err)
		got, err := guest.Find(t.Context(), im, guest.Options{DTB: g.DTB})
		require.NoError(t, err)
		assert.Equal(t, want, got.Image().Ranges(), name)
		var ids []string
		for _, f := range got.Findings() {
			ids = append(ids, f.ID)
		}
		if name == "other.vmem" {
			assert.Subset(t, ids, []string{finding.RawHole.ID(), finding.TornMemory.ID(), finding.NoVCPUState.ID()})
			continue
		}
		assert.NotContains(t, ids, finding.RawHole.ID())
		assert.NotContains(t, ids, finding.TornMemory.ID())
		assert.Len(t, im.CPUs(), 2)
	}
}

// TestVMwareWithoutState: a .vmem alone is converted, and said to be without registers
// and of a machine that may have run.
func TestVMwareWithoutState(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "Win.vmem")
	core := sampleCopy(t, "live-2cpu.vmcore.gz")
	_, memory := coretest.VMware{}.Write(t, imageOf(t, core), nil)
	require.NoError(t, os.WriteFile(path, memory, 0o400))
	_, r := convertFile(t, path)
	torn := findingOf(r, finding.TornMemory.ID())
	require.NotNil(t, torn)
	assert.Contains(t, torn.Message, "neither Win.vmss nor Win.vmsn is beside it")
	assert.NotNil(t, findingOf(r, finding.NoVCPUState.ID()))
}

// TestVMwareRanOn: memory that is later than its state is a finding.
func TestVMwareRanOn(t *testing.T) {
	t.Parallel()
	m := imageOf(t, guestsim.New(guestsim.Options{CPUs: 2}).ELF())
	dir := vmwareFiles(t, coretest.VMware{Magic: 0xbad1bad1}, m)
	for _, name := range []string{"Win-Snapshot1.vmsn", "Win-Snapshot1.vmem"} {
		_, r := convertFile(t, filepath.Join(dir, name))
		require.NotNil(t, findingOf(r, finding.TornMemory.ID()))
		assert.Contains(t, findingOf(r, finding.TornMemory.ID()).Message, "from which the machine was resumed")
	}
	dir = vmwareFiles(t, coretest.VMware{Magic: 0xbad1bad1, Embedded: true}, m)
	_, r := convertFile(t, filepath.Join(dir, "Win-Snapshot1.vmsn"))
	assert.Nil(t, findingOf(r, finding.TornMemory.ID()), "its own memory is of its moment")

	dir = vmwareFiles(t, coretest.VMware{}, m)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "Win-Snapshot1.vmem.lck"), 0o700))
	_, r = convertFile(t, filepath.Join(dir, "Win-Snapshot1.vmsn"))
	require.NotNil(t, findingOf(r, finding.TornMemory.ID()))
	assert.Contains(t, findingOf(r, finding.TornMemory.ID()).Message, "Win-Snapshot1.vmem.lck is there")
}

// TestVMwareLater: memory that was written to long after the state is said to be so.
func TestVMwareLater(t *testing.T) {
	t.Parallel()
	m := imageOf(t, guestsim.New(guestsim.Options{CPUs: 2}).ELF())
	dir := vmwareFiles(t, coretest.VMware{}, m)
	state, mem := filepath.Join(dir, "Win-Snapshot1.vmsn"), filepath.Join(dir, "Win-Snapshot1.vmem")
	saved := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	for after, want := range map[time.Duration]bool{-time.Hour: false, 50 * time.Minute: false, 3 * time.Hour: true} {
		require.NoError(t, os.Chtimes(state, saved, saved))
		require.NoError(t, os.Chtimes(mem, saved.Add(after), saved.Add(after)))
		for _, in := range []string{state, mem} {
			_, r := convertFile(t, in)
			f := findingOf(r, finding.MemoryLater.ID())
			require.Equal(t, want, f != nil, after)
			if want {
				assert.Contains(t, f.Message, "Win-Snapshot1.vmem was written to 3h0m0s after Win-Snapshot1.vmsn")
			}
		}
	}
}

// TestVMwareMoments: where memory has another process current than that whose page tables
// the vCPU used, the two files are of different moments.
func TestVMwareMoments(t *testing.T) {
	t.Parallel()
	m := imageOf(t, gunzip(t, "live-2cpu.vmcore.gz"))
	cpus := m.CPUs()
	other := *physmem.X86Of(cpus[1])
	old := other.CR3 &^ 0xfff
	for _, embedded := range []bool{false, true} {
		_, memory := coretest.VMware{}.Write(t, m, cpus)
		free := bytes.Index(memory[0x100000:], make([]byte, 0x2000)) + 0x100fff
		free &^= 0xfff
		copy(memory[free:], memory[old:old+0x1000])
		view := physmem.NewImage("test", physmem.NewSource("", bytes.NewReader(nil), 0), &physmem.Container{
			Memory: extents.New(bytes.NewReader(memory), []physmem.Extent{{Range: physmem.Range{Size: uint64(len(memory))}}}),
		})
		other.CR3 = uint64(free)
		cpus[1].Registers = &other
		state, memory := coretest.VMware{Embedded: embedded}.Write(t, view, cpus)
		folder := vmwareFolder{"Win.vmss": inFolder(state), "Win.vmem": inFolder(memory)}
		_, r := convertAll(t, source.Of(folder.open(t, "Win.vmss")), convert.Options{})
		torn := findingOf(r, finding.TornMemory.ID())
		if embedded {
			assert.Nil(t, torn)
			continue
		}
		require.NotNil(t, torn)
		assert.Contains(t, torn.Message, "processor 1 used other page tables")
	}
}

// volatility are the SHA-256 sums, range by range, of the memory that Volatility 3 (2.11.0)
// read from the writer's files of samples, in one region or in three.
var volatility = []struct {
	sample string
	three  bool
	sums   []string
}{
	{"live-2cpu.vmcore.gz", false, []string{
		"0139198261f6fd8fc11dfbb2c0b8e650531abcb1e03d8afbf623db49e6d90717",
	}},
	{"live-2cpu.vmcore.gz", true, []string{
		"567d9cb8f61dc1c2588366999abc1a481b9e4d24644f2e6815202c7985365503",
		"92f519ce2707fc307e0fecac75e9a6d99af3ab509c908401fbd5dfe315d31025",
		"ca025d497fe55463ec5fb9b195a3b3947e81a4bfdd431833409c7393ba35e3b0",
	}},
	{"bsod-4cpu-q35.vmcore.gz", false, []string{
		"b451cfe487421d5076ad6380797bc8389fd2033a7fb8067b0923f1741bbafe21",
	}},
	{"bsod-4cpu-q35.vmcore.gz", true, []string{
		"e56a8719755bd28b9124072183e6a6d362225b6c45dccb5f1214b9851ef53b0b",
		"043fb5cd1fe7c9bd85261335b25f3b2dbd21c7e7e4df58aa40684157b14287a2",
		"e8b710417d1d09bc6d87dbd48b46c564a353d80cf58fcfe9bfeef64532efba9c",
	}},
	{"x86-bsod-2cpu.vmcore.gz", false, []string{
		"9c1bd9e1e75a2085d5e3d29519a8e8b01dc0bfeecd1c23200ccc1528da8a2ce3",
	}},
	{"x86-bsod-2cpu.vmcore.gz", true, []string{
		"46b6473fed8ab20e662be062648606c9671ec544c10e5ee7c38c821876f57ee5",
		"5e7112650b90d3985dc72637a093b35143e2cc14f30d2858f419d505c8fb6631",
		"501cb2b272c8fcfd1aef0b8aad39bb395633653da39e6003e972c837c24f5d96",
	}},
}

// TestVMwareVolatility: windmp reads from the same files the memory that Volatility did.
func TestVMwareVolatility(t *testing.T) {
	t.Parallel()
	for _, want := range volatility {
		core := gunzip(t, want.sample)
		var v coretest.VMware
		if want.three {
			const mib = 1 << 20
			v.Regions = []physmem.Range{{Size: mib}, {Start: mib + mib/2, Size: mib}, {Start: 3 * mib, Size: mib}}
		}
		m, err := open.Source(t.Context(), vmwareInMemory(t, v, imageOf(t, core)).open(t, "Win-Snapshot1.vmem"), open.Options{})
		require.NoError(t, err)
		var got []string
		for _, r := range m.Ranges() {
			b := testheap.Bytes(t, int(r.Size))
			_, err := m.ReadAt(b, int64(r.Start))
			require.NoError(t, err)
			got = append(got, fmt.Sprintf("%x", sha256.Sum256(b)))
		}
		require.NoError(t, m.Close())
		assert.Equal(t, want.sums, got, want.sample)
	}
}

// TestVMwareSamples: guests that real QEMU dumped, with memory above 4 GiB.
func TestVMwareSamples(t *testing.T) {
	for _, name := range []string{"qemu-host-pc2", "qemu-host-q35hi", "qemu-host-numa"} {
		core := withoutHostNote(t, coretest.Sample(t, name+".elf.gz"))
		path := filepath.Join(t.TempDir(), "core")
		require.NoError(t, os.WriteFile(path, core, 0o400))
		want, _ := convertFile(t, path)
		for _, v := range []coretest.VMware{{}, {Blocks: true, Embedded: true, Padding: 77}} {
			got, r := convertFile(t, filepath.Join(vmwareFiles(t, v, imageOf(t, core)), "Win-Snapshot1.vmsn"))
			equalButFor(t, want, got, []allowed{{"Comment, which names the source", commentAt(false), 128}})
			assert.Empty(t, worse(r), name)
		}
	}
}

var updateVMware = flag.Bool("update-vmware", false, "write testdata/live-2cpu.vmss.gz anew")

// TestVMwareSample: the sample in testdata is what the writer makes of QEMU's.
func TestVMwareSample(t *testing.T) {
	t.Parallel()
	m := imageOf(t, gunzip(t, "live-2cpu.vmcore.gz"))
	state, _ := coretest.VMware{Embedded: true, Padding: 0xf03}.Write(t, m, m.CPUs())
	path, err := qemutest.Testdata("live-2cpu.vmss.gz")
	require.NoError(t, err)
	if *updateVMware {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		require.NoError(t, err)
		_, err = z.Write(state)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	}
	got := gunzip(t, "live-2cpu.vmss.gz")
	assert.True(t, bytes.Equal(state, got), "go test ./convert -run VMwareSample -update-vmware")
}

// TestVMwareDebugRegisters: they are in the dump.
func TestVMwareDebugRegisters(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	m := imageOf(t, g.ELF())
	cpus := coretest.WithAll(m.CPUs())
	state, _ := coretest.VMware{Embedded: true}.Write(t, m, cpus)
	dmp, _, err := convertBytes(t, state, convert.Options{})
	require.NoError(t, err)
	for i := range g.Processors {
		d, got := physmem.X86Of(cpus[i]).Debug, contextAt(t, dmp, g, i)
		assert.Equal(t, []uint64{d.Dr0, d.Dr1, d.Dr2, d.Dr3, d.Dr6, d.Dr7}, []uint64{got.Dr0, got.Dr1, got.Dr2, got.Dr3, got.Dr6, got.Dr7})
	}
	assert.True(t, slices.ContainsFunc(cpus, func(c physmem.CPU) bool { return physmem.X86Of(c).FX != nil }))
}
