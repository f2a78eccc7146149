package unwind

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
)

// Snapshots are what testdata/unwind/frames.c writes under Wine: states of a program,
// and the frames that Wine's RtlVirtualUnwind finds.
const snapshotFile = "../../testdata/unwind/frames.json.gz"

var update = flag.Bool("update", false, "write the snapshots of WINDMP_UNWIND to testdata")

// snapshots is the form in which they are committed. Memory is in chunks, equal ones
// once.
type snapshots struct {
	Images    []snapshotImage `json:"images"`
	Snapshots []snapshot      `json:"snapshots"`
	Chunks    [][]byte        `json:"chunks"`
	index     map[string]int
}

const chunkSize = 0x200

type snapshotImage struct {
	Name  string   `json:"name"`
	Base  vtop.VA  `json:"base"`
	Size  uint32   `json:"size"`
	Parts []stored `json:"parts"`
}

type snapshot struct {
	Name  string `json:"name"`
	Stack Limits `json:"stack"`
	// State is the first frame, Frames are its callers.
	State  registers   `json:"state"`
	Frames []registers `json:"frames"`
	Memory stored      `json:"memory"`
}

// registers are the PC and the 16 registers.
type registers [17]uint64

// stored is memory in chunks.
type stored struct {
	At     vtop.VA `json:"at"`
	Size   int     `json:"size"`
	Chunks []int   `json:"chunks"`
}

func (s *snapshots) put(at vtop.VA, b []byte) stored {
	out := stored{At: at, Size: len(b)}
	for c := range slices.Chunk(b, chunkSize) {
		i, ok := s.index[string(c)]
		if !ok {
			i = len(s.Chunks)
			s.index[string(c)] = i
			s.Chunks = append(s.Chunks, c)
		}
		out.Chunks = append(out.Chunks, i)
	}
	return out
}

func (s *snapshots) get(m stored) []byte {
	var b []byte
	for _, i := range m.Chunks {
		b = append(b, s.Chunks[i]...)
	}
	return b[:m.Size]
}

// parseRaw reads what frames.exe writes.
func parseRaw(t *testing.T, raw []byte) *snapshots {
	t.Helper()
	le := binary.LittleEndian
	s := &snapshots{index: map[string]int{}}
	for len(raw) > 0 {
		kind, n := string(raw[:4]), le.Uint32(raw[4:])
		r := raw[8 : 8+n]
		raw = raw[8+n:]
		switch kind {
		case "SNAP":
			x := snapshot{Name: text(r[:32]), Stack: Limits{Low: vtop.VA(le.Uint64(r[32:])), High: vtop.VA(le.Uint64(r[40:]))}}
			frames := make([]registers, le.Uint64(r[48:])+1)
			require.NoError(t, binary.Read(bytes.NewReader(r[56:]), le, frames))
			x.State, x.Frames = frames[0], frames[1:]
			s.Snapshots = append(s.Snapshots, x)
		case "STAK":
			s.Snapshots[len(s.Snapshots)-1].Memory = s.put(vtop.VA(le.Uint64(r)), r[8:])
		case "IMAG":
			s.Images = append(s.Images, snapshotImage{Name: text(r[16:]), Base: vtop.VA(le.Uint64(r)), Size: le.Uint32(r[8:])})
		case "PAGE":
			im := &s.Images[len(s.Images)-1]
			im.Parts = append(im.Parts, s.put(vtop.VA(le.Uint64(r)), r[8:]))
		default:
			require.Fail(t, "record", "%q", kind)
		}
	}
	return s
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// loadSnapshots returns the committed ones, which nobody changes.
func loadSnapshots(tb testing.TB) *snapshots {
	tb.Helper()
	s, err := committed()
	require.NoError(tb, err)
	return s
}

var committed = sync.OnceValues(func() (*snapshots, error) {
	f, err := os.Open(snapshotFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	s := new(snapshots)
	return s, json.NewDecoder(z).Decode(s)
})

// ours keeps what was built of testdata, and nothing of Wine.
func (s *snapshots) ours() *snapshots {
	out := &snapshots{index: map[string]int{}}
	for _, im := range s.Images {
		if !strings.HasPrefix(im.Name, "frames") {
			continue
		}
		parts := im.Parts
		im.Parts = nil
		for _, p := range parts {
			im.Parts = append(im.Parts, out.put(p.At, s.get(p)))
		}
		out.Images = append(out.Images, im)
	}
	for _, x := range s.Snapshots {
		x.Memory = out.put(x.Memory.At, s.get(x.Memory))
		for i, f := range append([]registers{x.State}, x.Frames...) {
			if out.imageAt(vtop.VA(f[0])) == nil && f[0] != 0 {
				x.Frames = x.Frames[:i] // the rest is through Wine's images
				break
			}
		}
		out.Snapshots = append(out.Snapshots, x)
	}
	return out
}

func (s *snapshots) imageAt(va vtop.VA) *snapshotImage {
	for i := range s.Images {
		if im := &s.Images[i]; va >= im.Base && va-im.Base < vtop.VA(im.Size) {
			return im
		}
	}
	return nil
}

// load maps the images.
func (s *snapshots) load() (*memory, *List) {
	m := newMemory()
	var list []*Image
	for _, im := range s.Images {
		list = append(list, &Image{Base: im.Base, Size: im.Size})
		for _, p := range im.Parts {
			m.write(p.At, s.get(p))
		}
	}
	return m, NewList(list)
}

func (r *registers) frame() Frame {
	f := frameOf(r[0], false, r[1:]...)
	f.SP = vtop.VA(r[1+rsp])
	return f
}

// check compares each frame with Wine's: where it is, and all nonvolatile registers.
// Of functions that are stepped through the first snapshot is that before the first
// instruction: whoever called them is known by that, without unwinding, and must be
// found from each other instruction. Where Wine does not find it, Wine is not compared;
// astray counts that by name.
func (s *snapshots) check(t *testing.T) (hows map[How]int, astray map[string]int) {
	t.Helper()
	m, images := s.load()
	hows, astray = map[How]int{}, map[string]int{}
	callers := map[string]registers{}
	for i := range s.Snapshots {
		x := &s.Snapshots[i]
		m.write(x.Memory.At, s.get(x.Memory))
		caller, again := callers[x.Name]
		wine := !again || slices.ContainsFunc(x.Frames, caller.same)
		found := !again
		f := x.State.frame()
		for k := 0; k < len(x.Frames) || !found; k++ {
			where := fmt.Sprintf("snapshot %d, %s, frame %d at %v", i, x.Name, k, f.PC)
			next := uint64(1)
			if wine {
				next = x.Frames[k][0]
			}
			step, ok := s.step(t, m.space(), images, f, x, next, where)
			if !ok {
				break
			}
			hows[step.How]++
			if wine {
				checkFrame(t, x.Frames[k], f, &step, where)
			}
			f = step.Caller
			found = found || caller.same(registersOf(f))
			if found && !wine {
				astray[x.Name]++
				break
			}
		}
		require.True(t, found, "snapshot %d, %s", i, x.Name)
		if slices.Contains(stepped, x.Name) && !again {
			callers[x.Name] = x.State.returned(t, m)
			require.True(t, callers[x.Name].same(x.Frames[0]), x.Name)
		}
	}
	return hows, astray
}

// stepped are the functions that are stepped through.
var stepped = []string{
	"push", "frame register", "frame register r13", "saved", "far", "tail", "indirect tail", "chained", "version 2", "indirect entry", "leaf",
}

// step makes a step; false at the end that is expected, for one where the return address
// is 0.
func (s *snapshots) step(t *testing.T, space *vtop.Space, images *List, f Frame, x *snapshot, next uint64, where string) (Step, bool) {
	t.Helper()
	step, err := X64.Step(space, images, f, x.Stack)
	if f.PC == 0 {
		require.Equal(t, NoModule, stopOf(err).Reason, where)
		step, err = X64.Scan(space, images, f, x.Stack)
	}
	if f.User {
		require.Equal(t, UserMode, stopOf(err).Reason, where)
		assert.Equal(t, "machine frame, user", x.Name)
		return step, false
	}
	if next == 0 {
		require.Equal(t, AtEnd, stopOf(err).Reason, where)
		return step, false
	}
	require.NoError(t, err, where)
	return step, true
}

// returned is the state behind a return.
func (r *registers) returned(t *testing.T, m *memory) registers {
	t.Helper()
	out := *r
	pc, err := m.space().Uint64(vtop.VA(r[1+rsp]))
	require.NoError(t, err)
	out[0], out[1+rsp] = pc, r[1+rsp]+8
	return out
}

// same compares the PC and the nonvolatile registers.
func (r registers) same(other registers) bool {
	for i := range 16 {
		if nonvolatile64>>i&1 != 0 && r[1+i] != other[1+i] {
			return false
		}
	}
	return r[0] == other[0]
}

func registersOf(f Frame) registers {
	r := registers{uint64(f.PC)}
	copy(r[1:], f.Registers[:])
	return r
}

func checkFrame(t *testing.T, want registers, f Frame, step *Step, where string) {
	t.Helper()
	c := step.Caller
	require.Equal(t, vtop.VA(want[0]), c.PC, where)
	require.Equal(t, vtop.VA(want[1+rsp]), c.SP, where)
	assert.Equal(t, step.How == MachineFrame, c.Exact, where)
	for r := range 16 {
		must := f.Has(r) && nonvolatile64>>r&1 != 0 && step.How != Scan
		if must && !c.Has(r) || c.Has(r) && c.Registers[r] != want[1+r] {
			require.Fail(t, "another register, or none", "%s: %s is %#x, want %#x", where, names64[r], c.Registers[r], want[1+r])
		}
	}
}

// Frames equal those of Wine's RtlVirtualUnwind.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	hows, astray := loadSnapshots(t).check(t)
	t.Log(hows, "Wine is astray:", astray)
	for _, h := range []How{Unwind, Leaf, Epilogue, MachineFrame, Scan} {
		assert.Positive(t, hows[h], h)
	}
}

// Exports of a DLL as a linker made them: what has a name, an ordinal alone, and what is
// forwarded; the function tells whether a name is honest.
func TestNames(t *testing.T) {
	t.Parallel()
	s := loadSnapshots(t)
	m, images := s.load()
	lib := s.Images[1]
	im, ok := images.At(lib.Base)
	require.True(t, ok)
	h, err := im.Headers(m.space(), X64.Format)
	require.NoError(t, err)
	e, err := h.ReadExports(m.space())
	require.NoError(t, err)
	names := map[string]int{}
	for rva := range h.Size {
		x, ok := e.Nearest(m.space(), rva)
		if !ok {
			continue
		}
		begin, _, ok := X64.Function(m.space(), images, lib.Base+vtop.VA(rva))
		names[x.Name]++
		if x.Name == "call_back" && rva == x.RVA {
			require.True(t, ok)
			assert.Equal(t, lib.Base+vtop.VA(x.RVA), begin)
		}
	}
	assert.Equal(t, []string{"call_back", "counter"}, slices.Sorted(maps.Keys(names)))
}

// The same of a program that was built and run now: scripts/wine does that.
func TestRebuilt(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("WINDMP_UNWIND")
	if dir == "" {
		t.Skip("NOT RUN: WINDMP_UNWIND names no folder with frames.raw; scripts/wine makes one with mingw-w64 and Wine")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "frames.raw"))
	require.NoError(t, err)
	s := parseRaw(t, raw)
	hows, astray := s.check(t)
	t.Log("frames, those of Wine's images too:", hows, "Wine is astray:", astray)
	if !*update {
		return
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	require.NoError(t, err)
	require.NoError(t, json.NewEncoder(z).Encode(s.ours()))
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(snapshotFile, b.Bytes(), 0o644))
}
