package convert_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
)

// truthBases are the sources that are damaged: synthetic guests, real ones of both
// machines, and dumps.
func truthBases(t *testing.T) map[string][]byte {
	t.Helper()
	bases := map[string][]byte{
		"sim live":  guestsim.New(guestsim.Options{CPUs: 2}).ELF(),
		"sim crash": guestsim.New(guestsim.Options{CPUs: 3, Build: 26100, BugCheck: [5]uint64{0x50, 1, 2, 3, 4}, Encoded: true}).ELF(),
		"sim odd":   guestsim.New(guestsim.Options{CPUs: 2, VGA: true, Odd: true, Shadow: true}).ELF(),
	}
	for _, name := range []string{
		"live-2cpu.vmcore.gz", "bsod-4cpu-q35.vmcore.gz", "swbits-2cpu-vga-paging.vmcore.gz", "odd-runs-2cpu.vmcore.gz",
		"x86-bsod-2cpu.vmcore.gz", "x86-live-2cpu-paging.vmcore.gz", "x86-nopae-live-2cpu.vmcore.gz",
		"live-2cpu.win-dmp.gz", "x86-nopae-2cpu.win-dmp.gz",
	} {
		bases[name] = gunzip(t, samplePath(name))
	}
	return bases
}

// TestOneTruth: whatever is done to a source, the verdict of a conversion is never
// better than that of a check of what it wrote.
func TestOneTruth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	rounds := 180 // of twelve sources: more than 2,000
	if underRace {
		rounds = 6
	}
	var converted atomic.Int64
	t.Run("sources", func(t *testing.T) {
		for name, data := range truthBases(t) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				converted.Add(int64(newTruth(t, name, data).run(t, rounds)))
			})
		}
	})
	// Else the mutants show nothing: a third is refused at most.
	assert.Greater(t, converted.Load(), int64(rounds*12/2))
}

// truth damages one source, which is in memory: two thousand files of some MiB take a
// minute to write.
type truth struct {
	data   []byte
	random *rand.Rand
	places []truthPlace
	dump   smallBuffer // of the mutant at hand
}

// truthPlace is a stretch of the file in which a damage tells.
type truthPlace struct {
	what  string
	at, n int // bytes
}

func newTruth(t *testing.T, name string, data []byte) *truth {
	t.Helper()
	s := &truth{data: bytes.Clone(data), random: rand.New(rand.NewPCG(11, uint64(len(name))))}
	im := openBytes(t, s.data)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	note := 0
	if n := im.GuestNote(); n != nil {
		note = int(n.Offset)
	}
	h := g.Header()
	s.add("header", note, 0xa0)
	s.add("run table", note+h.Offset("NumberOfRuns"), 0x60)
	s.add("header's end", note+h.Offset("DumpType"), 0x100)
	k := g.Kernel()
	s.addMemory(g, "KDBG", k.VA, 0x380)
	s.addMemory(g, "KDBG's head", k.VA, 0x60)
	s.addMemory(g, "KiProcessorBlock", vtop.VA(k.Data.KiProcessorBlock), 0x40)
	s.addMemory(g, "bug check data", vtop.VA(k.Data.KiBugcheckData), 0x28)
	s.addMemory(g, "shared data", g.Machine().Kernel.SharedUserData, 0x2f0)
	if at, err := k.Pointer(vtop.VA(k.Data.MmPhysicalMemoryBlock)); err == nil {
		s.addMemory(g, "memory's table", at, 0x40)
	}
	for _, p := range g.Processors() {
		s.addMemory(g, "CONTEXT", p.Context, 0x100)
		s.addMemory(g, "special registers", p.SpecialRegisters, 0x60)
	}
	return s
}

func (s *truth) add(what string, at, n int) {
	s.places = append(s.places, truthPlace{what, at, n})
}

// addMemory adds what of the n bytes at va lies in one page of the file.
func (s *truth) addMemory(g *guest.Guest, what string, va vtop.VA, n int) {
	got, err := g.Memory().Space.Translate(va)
	if err != nil {
		return
	}
	at, ok := g.Image().FileOffset(uint64(got.PA))
	if n = min(n, physmem.PageSize-int(got.PA%physmem.PageSize)); ok && n >= 8 {
		s.add(what, int(at), n)
	}
}

// run makes mutants, and says how many were converted.
func (s *truth) run(t *testing.T, rounds int) (converted int) {
	t.Helper()
	for range rounds {
		what, mend := s.mutate()
		if s.holds(t, what) {
			converted++
		}
		mend()
		if t.Failed() {
			return converted
		}
	}
	return converted
}

// mutate changes up to three numbers of the source, and says which; mend undoes it.
func (s *truth) mutate() (what string, mend func()) {
	var said []string
	var old []func()
	for range 1 + s.random.IntN(3) {
		p := s.places[s.random.IntN(len(s.places))]
		size := []int{4, 8}[s.random.IntN(2)]
		at := p.at + s.random.IntN(p.n/size)*size
		field := s.data[at : at+size]
		before := bytes.Clone(field)
		old = append(old, func() { copy(field, before) })
		var number [8]byte
		copy(number[:], field)
		binary.LittleEndian.PutUint64(number[:], s.value(binary.LittleEndian.Uint64(number[:])))
		copy(field, number[:])
		said = append(said, fmt.Sprintf("%s +%#x (%d bytes) %x -> %x", p.what, at-p.at, size, before, field))
	}
	return strings.Join(said, "; "), func() {
		for _, undo := range slices.Backward(old) {
			undo()
		}
	}
}

// value is one that damage, age and malice make of a number.
func (s *truth) value(old uint64) uint64 {
	list := []uint64{
		0, 1, 2, 0x2b, 0x4547415045474150, ^uint64(0), old + 1, old - 1, old + 0x1000, old - 0x1000, old << 1, old &^ 0xfff,
		0x7ff612340000, 0xfffff80412c00000, 0x80000000, 0x10000, s.random.Uint64(), uint64(s.random.Uint32()),
	}
	return list[s.random.IntN(len(list))]
}

// holds converts the mutant and checks the dump; false where there is none.
func (s *truth) holds(t *testing.T, what string) bool {
	t.Helper()
	opt := convert.Options{Plan: plan.Options{
		Type:     []plan.OutputType{plan.OutputAuto, plan.OutputFull, plan.OutputBitmap, plan.OutputKernel}[s.random.IntN(4)],
		Contexts: []plan.ContextMode{plan.ContextsAuto, plan.ContextsSaved, plan.ContextsVCPU}[s.random.IntN(3)],
		Missing:  []report.MissingMode{report.MissingDrop, report.MissingZero, report.MissingFail}[s.random.IntN(3)],
	}}
	r := s.convert(t, &opt)
	if r == nil {
		return false
	}
	f := checkBytes(s.dump.data.Bytes(), inspect.CheckQuick)
	require.NoError(t, f.Err)
	assertSaid(t, f.Findings)
	assertSaid(t, r.Findings)
	assert.NotEqual(t, "FAIL", f.Verdict, "converted with %+v (%s): %s, after %s", opt.Plan, r.Verdict, f.Reason, what)
	rank := map[string]int{"OK": 0, "WARN": 1, "UNKNOWN": 2, "FAIL": 3}
	assert.GreaterOrEqual(t, rank[r.Verdict], rank[f.Verdict], "converted with %+v as %s, checked as %s: %s, after %s", opt.Plan, r.Verdict, f.Verdict, f.Reason, what)
	return true
}

// convert makes the dump, nil if there is none. The stages are those of a stream, but
// for its checksum: to sum up takes longer than all the rest where int has 32 bits.
func (s *truth) convert(t *testing.T, opt *convert.Options) *report.Report {
	t.Helper()
	s.dump.data.Reset()
	r := report.New("in", convert.Stdout, false)
	im, err := open.Source(t.Context(), physmem.NewSource("in", bytes.NewReader(s.data), int64(len(s.data))), open.Options{})
	if err != nil {
		return nil
	}
	g, err := guest.Find(t.Context(), im, opt.Guest)
	identity.Describe(r, g)
	if err != nil {
		return nil
	}
	p, err := convert.Prepare(t.Context(), r, g, opt)
	if err != nil || convert.Write(t.Context(), p, &s.dump, opt.Write) != nil || im.ReadFailure() != nil {
		return nil
	}
	r.Output.Written = true
	r.Finish(nil)
	return r
}

// smallBuffer takes the dumps of these sources, and not what a run table that was
// made larger asks for.
type smallBuffer struct{ data bytes.Buffer }

func (b *smallBuffer) Write(p []byte) (int, error) {
	const most = 64 << 20
	if b.data.Len()+len(p) > most {
		return 0, errors.New("no dump of a source this small")
	}
	return b.data.Write(p)
}
