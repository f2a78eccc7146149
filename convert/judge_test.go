package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/inspect"
	"windmp/convert/judge"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// judgedSim are synthetic guests with the oddities that a conversion copes with.
var judgedSim = map[string]guestsim.Options{
	"plain":      {CPUs: 2},
	"crashed":    {CPUs: 3, BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}},
	"encoded":    {CPUs: 3, Odd: true, Encoded: true},
	"shadow":     {CPUs: 2, Shadow: true},
	"flags":      {PCID: true},
	"la57":       {LA57: true},
	"user":       {CPUs: 2, UserMode: []int{1}},
	"order":      {CPUs: 3, VCPUOrder: []int{2, 0, 1}},
	"no vCPUs":   {File: guestsim.FileOptions{NoCPUNotes: true}},
	"no note":    {CPUs: 2, File: guestsim.FileOptions{NoGuestNote: true}},
	"paging":     {File: guestsim.FileOptions{Paging: true}},
	"long note":  {File: guestsim.FileOptions{GuestNoteSize: 0x2004}},
	"video":      {VGA: true},
	"cut memory": {CPUs: 2, File: guestsim.FileOptions{Length: 0x60000}},
}

// judgedDamage is done to a guest before it is converted, so that its dump is not all
// well.
var judgedDamage = map[string]func(g *guestsim.Guest){
	"":             func(*guestsim.Guest) {},
	"modules":      func(g *guestsim.Guest) { g.Write64(g.Modules[0].Entry, g.Modules[0].Entry) },
	"shared data":  func(g *guestsim.Guest) { g.Unmap(guestsim.SharedUserData) },
	"kernel image": func(g *guestsim.Guest) { g.Unmap(guestsim.KernBase) },
	"bug check":    func(g *guestsim.Guest) { g.Unmap(g.KiBugcheckData) },
}

// judgedSources are what [TestJudgedAsChecked] converts: synthetic guests, each with each
// damage, and the samples; what makes a file of them is called by who needs it.
func judgedSources(t *testing.T) map[string]func(*testing.T) []byte {
	t.Helper()
	sources := map[string]func(*testing.T) []byte{}
	for name, opt := range judgedSim {
		for what, damage := range judgedDamage {
			sources[strings.TrimSuffix(name+"/"+what, "/")] = func(*testing.T) []byte {
				g := guestsim.New(opt)
				damage(g)
				return g.ELF()
			}
		}
	}
	samples, err := filepath.Glob(samplePath("*.gz"))
	require.NoError(t, err)
	for _, path := range append(samples, samplePath("guest-bsod.vmcore")) {
		name := filepath.Base(path)
		sources[name] = func(t *testing.T) []byte {
			t.Helper()
			return gunzip(t, name)
		}
	}
	return sources
}

// TestJudgedAsChecked: what a conversion says of the dump before it writes it is what
// a check says of the file, and its verdict is never better.
func TestJudgedAsChecked(t *testing.T) {
	t.Parallel()
	sources := judgedSources(t)
	require.Greater(t, len(sources), 80)
	for name, source := range sources {
		if few := testing.Short() || underRace; few && len(name)%5 > 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := source(t)
			im := openBytes(t, file)
			g, err := guest.Find(t.Context(), im, guest.Options{})
			if err != nil {
				return // there is no dump to check
			}
			// One for all: most of a small guest's conversion is to make room.
			dump := bytes.NewBuffer(testheap.Bytes(t, len(file)+1<<16)[:0])
			for opt := range judgedPlans() {
				r := judgedAsChecked(t, g, opt, dump)
				if r != nil && opt.Type == plan.OutputFull && opt.Contexts == plan.ContextsAuto && opt.Missing == report.MissingDrop {
					sourceJudged(t, file, r)
				}
			}
		})
	}
}

// sourceJudged: a check of the source says what the conversion does. What lacks pages is
// refused unless the user accepts it, as the conversion was told.
func sourceJudged(t *testing.T, file []byte, r *report.Report) {
	t.Helper()
	want := r.Verdict
	if r.Memory.Missing > 0 {
		want = "FAIL"
	}
	f := checkBytes(file, inspect.CheckQuick)
	assert.Equal(t, want, f.Verdict, "the check of the source says %s, its conversion %s", f.Verdict, r.Verdict)
}

// judgedPlans are all that make a difference to the dump of one guest.
func judgedPlans() iter.Seq[plan.Options] {
	return func(yield func(plan.Options) bool) {
		for _, typ := range []plan.OutputType{plan.OutputFull, plan.OutputBitmap, plan.OutputKernel, plan.OutputTriage} {
			for _, contexts := range []plan.ContextMode{plan.ContextsAuto, plan.ContextsSaved, plan.ContextsVCPU} {
				for _, missing := range []report.MissingMode{report.MissingDrop, report.MissingZero} {
					if testing.Short() && (contexts == plan.ContextsVCPU || (contexts == plan.ContextsSaved) != (missing == report.MissingZero)) {
						continue // the one has nothing to do with the other, and all pairs take seconds
					}
					if !yield(plan.Options{Type: typ, Contexts: contexts, Missing: missing}) {
						return
					}
				}
			}
		}
	}
}

// judgedAsChecked converts a guest to dump, by the stages of a conversion; nil is returned
// if there is nothing to check.
func judgedAsChecked(t *testing.T, g *guest.Guest, opt plan.Options, dump *bytes.Buffer) *report.Report {
	t.Helper()
	what := fmt.Sprintf("%s, %s, %s", opt.Type, opt.Contexts, opt.Missing)
	options := convert.Options{Plan: opt}
	r := report.New("in", convert.Stdout, false)
	r.DescribeImage(g.Image())
	identity.Describe(r, g)
	p, err := convert.Prepare(t.Context(), r, g, &options)
	if err != nil {
		return nil
	}
	dump.Reset()
	dump.Grow(int(p.Layout().Size()))
	require.NoError(t, convert.Write(t.Context(), p, dump, options.Write), what)
	r.Output.Written = true
	r.Finish(nil)
	f := checkBytes(dump.Bytes(), inspect.CheckQuick)
	require.NoError(t, f.Err, what)
	rank := map[string]int{"OK": 0, "WARN": 1, "UNKNOWN": 2, "FAIL": 3}
	assert.GreaterOrEqual(t, rank[r.Verdict], rank[f.Verdict], "%s: converted as %s, checked as %s: %s", what, r.Verdict, f.Verdict, f.Reason)
	for _, x := range f.Findings {
		if x.Severity.Rank() > finding.SeverityInfo.Rank() {
			assert.True(t, slices.ContainsFunc(r.Findings, func(y finding.Finding) bool { return y.ID == x.ID && y.Where == x.Where }), "%s: the conversion says nothing of %v", what, x)
		}
	}
	v, err := judge.Plan(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, f.Findings, v.Findings, what)
	return r
}

// TestCheckOfSourceJudges: what a conversion says of a dump before it writes it, the check
// of its source says too.
func TestCheckOfSourceJudges(t *testing.T) {
	t.Parallel()
	for what, damage := range judgedDamage {
		g := guestsim.New(guestsim.Options{CPUs: 2})
		damage(g)
		_, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err, what)
		f := checkBytes(g.ELF(), inspect.CheckQuick)
		assert.Equal(t, r.Verdict, f.Verdict, what)
		assert.Equal(t, warned(r.Findings), warned(f.Findings), what)
	}
}

// warned are the IDs of what is worse than information.
func warned(list []finding.Finding) []string {
	var ids []string
	for _, f := range list {
		if f.Severity.Rank() > finding.SeverityInfo.Rank() {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// TestStrictJudges: what a check warns of is refused before anything is written, if
// warnings shall be.
func TestStrictJudges(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	g.Unmap(guestsim.KernBase) // the search does without the kernel's image
	core := writeCore(t, g)
	out := filepath.Join(filepath.Dir(core), "out.dmp")
	r, err := convert.File(t.Context(), core, out, convert.Options{Plan: plan.Options{Strict: true}})
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, finding.KernelImage.ID(), refused.Finding.ID)
	assert.Equal(t, "WARN", r.Verdict)
	assertOnly(t, core)
}

// TestCheckOfDumpKeepsFindings: what was found when the header was read is in the
// check, as it is in an info of the same file.
func TestCheckOfDumpKeepsFindings(t *testing.T) {
	t.Parallel()
	b, _, err := convertSim(t, guestsim.New(guestsim.Options{CPUs: 2}), convert.Options{})
	require.NoError(t, err)
	copy(b[winhdr.X64.New().Offset("DumpType"):], "PAGE")
	f := checkBytes(b, inspect.CheckQuick)
	assert.True(t, slices.ContainsFunc(f.Findings, func(x finding.Finding) bool {
		return x.ID == finding.HeaderOdd.ID() && strings.Contains(x.Message, "DumpType")
	}), "%v", f.Findings)
}

// placesBeyond are entries of page tables, changed one at a time, with the place from which
// the tables lead beyond the bitmap then.
func placesBeyond() []placeBeyond {
	const (
		bsod, live, pae, nopae = "guest-bsod.vmcore", "live-2cpu.vmcore.gz", "x86-bsod-2cpu.vmcore.gz", "x86-nopae-2cpu.vmcore.gz"

		driver, driver32 = 0xfffff80045e40000, 0x8b4e0000 // testdrv.sys
		farPage          = 0xf14e0000
	)
	beyond := func(entry uint64) uint64 { return entry&0x8000000000000fff | farPage }
	to := func(entry uint64) func(uint64) uint64 { return func(uint64) uint64 { return entry } }
	return []placeBeyond{
		{"a table", nopae, plan.OutputBitmap, driver32, 1, beyond, "the headers of an image"},
		{"a large page", nopae, plan.OutputBitmap, driver32, 1, to(0xf14001e3), "the headers of an image"},
		{"a page", nopae, plan.OutputBitmap, driver32, 0, beyond, "the headers of an image"},
		{"a page in transition", nopae, plan.OutputBitmap, driver32, 0, to(farPage | 0x860), "the headers of an image"},
		{"a table", pae, plan.OutputBitmap, driver32, 1, beyond, "the headers of an image"},
		{"a large page", pae, plan.OutputKernel, driver32, 1, to(0xf14001e3), "the headers of an image"},
		{"a page", pae, plan.OutputKernel, driver32, 0, beyond, "the headers of an image"},
		{"a table", bsod, plan.OutputBitmap, driver, 1, beyond, "the headers of an image"},
		{"a page", bsod, plan.OutputKernel, driver, 0, beyond, "the headers of an image"},
		{"a page in transition", bsod, plan.OutputBitmap, driver, 0, to(farPage | 0x860), "the headers of an image"},
		{"modules' names", bsod, plan.OutputBitmap, 0xffffb30111230000, 0, beyond, "the name of an image and 3 other places to memory that the bitmap does not reach"},
		{"the kernel's exports", bsod, plan.OutputBitmap, 0xfffff80041c21000, 0, beyond, "the exports of an image"},
		{"the HAL's debug data", bsod, plan.OutputBitmap, 0xfffff80041b61000, 0, beyond, "the debug directory of an image"},
		{"NtBuildLab", bsod, plan.OutputBitmap, 0xfffff8004284c000, 0, beyond, "KDBG.NtBuildLab"},
		{"CmNtCSDVersion", bsod, plan.OutputBitmap, 0xfffff8004284b000, 0, beyond, "KDBG.CmNtCSDVersion"},
		{"what crashed", bsod, plan.OutputBitmap, 0xfffff80045e41000, 0, beyond, "a parameter of the bug check"},
		{"where it stopped", bsod, plan.OutputBitmap, 0xfffff80041ff7000, 0, beyond, "the instruction of processor 1"},
		{"a stack", live, plan.OutputBitmap, 0xffffb98010015000, 0, beyond, "the stack of processor 0"},

		{"not mapped", nopae, plan.OutputBitmap, driver32, 1, to(0), ""},
		{"a table in a hole", nopae, plan.OutputBitmap, driver32, 1, to(0xa0063), ""},
		{"a full dump", nopae, plan.OutputFull, driver32, 1, beyond, ""},
		{"names not mapped", bsod, plan.OutputBitmap, 0xffffb30111230000, 0, to(0), ""},
		{"names in a hole", bsod, plan.OutputBitmap, 0xffffb30111230000, 0, to(0xa0063), ""},
		{"another page", bsod, plan.OutputBitmap, 0xfffff80042812000, 0, beyond, ""},
	}
}

// placeBeyond is one of them.
type placeBeyond struct {
	what, sample string
	typ          plan.OutputType
	va           vtop.VA
	up           int // levels from the page's own entry
	entry        func(was uint64) uint64
	want         string // the place, empty for none
}

// soundDump is a dump without a fault, as it is and as it is read.
type soundDump struct {
	dmp   []byte
	im    *physmem.Image
	space *vtop.Space
}

func newSoundDump(t *testing.T, sample string, typ plan.OutputType) *soundDump {
	t.Helper()
	dmp, _ := convertSample(t, sample, convert.Options{Plan: plan.Options{Type: typ}})
	require.Equal(t, "OK", checkBytes(dmp, inspect.CheckQuick).Verdict)
	im := openBytes(t, dmp)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	return &soundDump{dmp, im, g.Memory().Space}
}

// entry are the bytes of the dump that are the entry of a page table on the way to an
// address, some levels up from the page's own, and its value.
func (d *soundDump) entry(t *testing.T, va vtop.VA, up int) (b []byte, value uint64) {
	t.Helper()
	walk, err := d.space.Walk(va)
	require.NoError(t, err)
	step := walk[len(walk)-up-1]
	off, ok := d.im.FileOffset(uint64(step.EntryPA))
	require.True(t, ok)
	return d.dmp[off:][:d.space.Mode.EntrySize], uint64(step.Entry)
}

// TestPlacesBeyond: debuggers complain of a dump with a bitmap where the page tables lead
// from what they read first to a page that the bitmap does not reach, and of no other
// (seen with Microsoft's engine 10.0.10240 of these dumps).
func TestPlacesBeyond(t *testing.T) {
	t.Parallel()
	made := map[string]*soundDump{}
	for _, c := range placesBeyond() {
		name := c.sample + " " + string(c.typ)
		if made[name] == nil {
			made[name] = newSoundDump(t, c.sample, c.typ)
		}
		good := made[name]
		is, value := good.entry(t, c.va, c.up)
		var entry [8]byte
		binary.LittleEndian.PutUint64(entry[:], c.entry(value))
		was := bytes.Clone(is)
		copy(is, entry[:])
		f := checkBytes(good.dmp, inspect.CheckQuick)
		copy(is, was)
		if c.want == "" {
			assert.Equal(t, "OK", f.Verdict, c.what)
			continue
		}
		assert.Equal(t, "WARN", f.Verdict, c.what)
		assert.Equal(t, []string{finding.PlaceBeyond.ID()}, warned(f.Findings), c.what)
		last := f.Findings[len(f.Findings)-1]
		assert.Contains(t, last.Message, "the page tables lead from "+c.want, c.what)
	}
}

// TestCheckHeedsOptions: of a file that begins like a dump, a check believes what the
// user says as the other commands do.
func TestCheckHeedsOptions(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	b, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "x.dmp")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	check := func(opt inspect.CheckOptions) *inspect.FileCheck { return checkFile(context.Background(), path, opt) }
	require.Equal(t, "OK", check(inspect.CheckOptions{}).Verdict)

	var opt inspect.CheckOptions
	opt.Source.Input.Format = "elf"
	f := check(opt)
	assert.Equal(t, "FAIL", f.Verdict)
	assert.Empty(t, f.Kind)
	require.Error(t, f.Err)
	for name, opt := range map[string]guest.Options{"dtb": {DTB: 0x3000}, "kernel": {KernelBase: guestsim.KernBase + 0x1000}, "kdbg": {KDBG: g.KDBG + 8}} {
		f := check(inspect.CheckOptions{Guest: opt})
		assert.Equal(t, "FAIL", f.Verdict, name)
		assert.True(t, slices.ContainsFunc(f.Findings, func(x finding.Finding) bool { return x.ID == finding.GivenWrong.ID() }), name)
	}
	assert.Equal(t, "OK", check(inspect.CheckOptions{Guest: guest.Options{KDBG: g.KDBG}}).Verdict)
}

// TestSmallDumpHeedsOptions: what a user knows is compared with what a small dump states, by
// all that look at it.
func TestSmallDumpHeedsOptions(t *testing.T) {
	t.Parallel()
	for _, sample := range []string{"guest-bsod.vmcore", "x86-bsod-2cpu.vmcore.gz"} {
		var b bytes.Buffer
		_, err := convert.Stream(t.Context(), source.File(samplePath(sample)), &b, convert.Options{Plan: plan.Options{Type: plan.OutputTriage}})
		require.NoError(t, err)
		in := source.Reader("small", bytes.NewReader(b.Bytes()), int64(b.Len()))
		h, err := winhdr.Decode(b.Bytes())
		require.NoError(t, err)
		for what, opt := range map[string]guest.Options{
			"":     {DTB: h.DirectoryTableBase, KDBG: h.KdDebuggerDataBlock},
			"dtb":  {DTB: h.DirectoryTableBase + 0x1000},
			"kdbg": {KDBG: h.KdDebuggerDataBlock + 8},
			"base": {KernelBase: h.KdDebuggerDataBlock},
		} {
			f := checkInput(t.Context(), in, inspect.CheckOptions{Guest: opt})
			_, info := inspect.Info(t.Context(), in, inspect.InfoOptions{Guest: opt})
			_, stack := inspect.Stack(t.Context(), in, inspect.StackOptions{Guest: opt})
			if what == "" {
				require.NoError(t, errors.Join(f.Err, info, stack), sample)
				continue
			}
			assert.Equal(t, "FAIL", f.Verdict, "%s %s", sample, what)
			for _, err := range []error{f.Err, info, stack} {
				var refused *finding.RefusedError
				require.ErrorAs(t, err, &refused, "%s %s", sample, what)
				assert.Equal(t, finding.GivenWrong.ID(), refused.Finding.ID)
			}
		}
	}
}
