package convert_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/internal/guestsim"
	"windmp/vtop"
)

// number is one that JSON has as text, such as "0x1e".
type number uint64

func (n *number) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 0, 64)
	*n = number(v)
	return err
}

// crashContext is what a real x64 machine saved when it crashed, of the processor that
// did (testdata/crash-contexts.json).
type crashContext struct {
	Build      uint32            `json:"build"`
	Code       number            `json:"code"`
	Parameters [4]number         `json:"parameters"`
	Registers  map[string]number `json:"registers"`
	// RipInNt is 0 where Rip is in no kernel, CodeAtRip hex.
	RipInNt   number `json:"rip_in_nt"`
	CodeAtRip string `json:"code_at_rip"`
}

// contextPlaces are where CONTEXT has registers (winnt.h, amd64).
var contextPlaces = map[string]uint64{
	"rax": 0x78, "rcx": 0x80, "rdx": 0x88, "rbx": 0x90, "rbp": 0xa0, "rsi": 0xa8, "rdi": 0xb0, "r8": 0xb8, "r9": 0xc0,
}

func crashContexts(t *testing.T) []crashContext {
	t.Helper()
	b, err := os.ReadFile("testdata/crash-contexts.json")
	require.NoError(t, err)
	var list []crashContext
	require.NoError(t, json.Unmarshal(b, &list))
	require.Len(t, list, 46)
	return list
}

// exception tells whether the CONTEXT is that of the exception, not of the call.
func (c *crashContext) exception() bool { return c.RipInNt == 0 }

// throughKeBugCheck tells it by the function's first instruction, sub rsp, 28h.
func (c *crashContext) throughKeBugCheck() bool { return c.CodeAtRip[:8] == "4883ec28" }

// stopExports lets the kernel export what ends in a bug check.
func stopExports(g *guestsim.Guest, ex, plain uint32) {
	g.Image(guestsim.KernBase, guestsim.ImageIdentity{
		Size: g.ImageSize, Export: "ntoskrnl.exe", PDB: "ntkrnlmp.pdb",
		Variables: []guestsim.Variable{{Name: "KeBugCheck", RVA: plain}, {Name: "KeBugCheckEx", RVA: ex}},
	})
}

// crashedGuest is a guest of three processors of which one crashed with a context.
func crashedGuest(c *crashContext, crashed int, exports bool) *guestsim.Guest {
	opt := guestsim.Options{CPUs: 3, Build: c.Build, BugCheck: [5]uint64{uint64(c.Code)}}
	for i, v := range c.Parameters {
		opt.BugCheck[1+i] = uint64(v)
	}
	g := guestsim.New(opt)
	ownTables(g)
	at := g.Processors[crashed].Context
	for name, offset := range contextPlaces {
		g.Write64(at+offset, uint64(c.Registers[name]))
	}
	rip := guestsim.KernBase + uint64(c.RipInNt)
	if c.exception() {
		rip = g.Modules[2].Base + 0x1234
	}
	g.Write64(at+0xf8, rip)
	ex, plain := uint32(c.RipInNt), uint32(c.RipInNt)+0x100
	if c.throughKeBugCheck() {
		ex, plain = plain, ex
	}
	if exports {
		stopExports(g, ex, plain)
	}
	return g
}

// shownFirst is the processor that is shown, and whether it is known to have crashed.
func shownFirst(t *testing.T, r *report.Report) (int, bool) {
	t.Helper()
	i := slices.IndexFunc(r.Processors, func(c report.CPU) bool { return c.ShownFirst })
	require.GreaterOrEqual(t, i, 0)
	f := findingOf(r, finding.ShownFirst.ID())
	require.NotNil(t, f)
	return i, assert.ObjectsAreEqual(f.Message[:len("processor")], "processor")
}

// TestCrashContexts: the processor that crashed is recognised by what real machines
// saved of it, and by where an exception was, none.
func TestCrashContexts(t *testing.T) {
	t.Parallel()
	for n, c := range crashContexts(t) {
		for _, exports := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %#x exports %v", n, uint64(c.Code), exports), func(t *testing.T) {
				t.Parallel()
				crashed := 1 + n%2
				g := crashedGuest(&c, crashed, exports)
				dmp, r, err := convertSim(t, g, convert.Options{})
				require.NoError(t, err)
				shown, known := shownFirst(t, r)
				if c.exception() || c.throughKeBugCheck() && !exports {
					assert.False(t, known)
					return
				}
				assert.True(t, known)
				assert.Equal(t, crashed, shown)
				assert.Equal(t, contextAt(t, dmp, g, crashed).Rsp, u64(dmp, 0x348+0x98))
			})
		}
	}
}

// TestCrashedProcessor: what else tells the processor that crashed, and what does not.
func TestCrashedProcessor(t *testing.T) {
	t.Parallel()
	const ex, plain = 0x3f8000, 0x3f9000
	rip := func(g *guestsim.Guest, i int, rva uint64) {
		g.Write64(g.Processors[i].Context+0xf8, guestsim.KernBase+rva)
	}
	arguments := func(g *guestsim.Guest, i int, rcx, rdx, r8, r9 uint64) {
		at := g.Processors[i].Context
		g.Write64(at+0x80, rcx)
		g.Write64(at+0x88, rdx)
		g.Write64(at+0xb8, r8)
		g.Write64(at+0xc0, r9)
	}
	code := [5]uint64{0xd1, 0xffffb00012345678, 2, 0, 0xfffff80415ee4321}
	for _, tt := range []struct {
		name string
		opt  guestsim.Options
		poke func(g *guestsim.Guest)
		want int // -1 for not known
		says string
	}{
		{"called as another code", guestsim.Options{CPUs: 3}, func(g *guestsim.Guest) {
			rip(g, 2, ex)
			arguments(g, 2, 0xa, 0xffffb00012345678, 2, 0)
		}, 2, "KeBugCheckEx"},
		{"not at the first instruction", guestsim.Options{CPUs: 3}, func(g *guestsim.Guest) { rip(g, 2, ex+1) }, -1, ""},
		{"waits for the kernel debugger", guestsim.Options{CPUs: 3}, func(g *guestsim.Guest) {
			rip(g, 1, g.Field("BreakpointWithStatus")-guestsim.KernBase)
		}, 1, "DbgBreakPointWithStatus"},
		{"behind the breakpoint", guestsim.Options{CPUs: 3, Build: 9600}, func(g *guestsim.Guest) {
			rip(g, 2, g.Field("BreakpointWithStatus")-guestsim.KernBase+1)
		}, 2, "DbgBreakPointWithStatus"},
		{"two at once, the arguments are of one", guestsim.Options{CPUs: 4}, func(g *guestsim.Guest) {
			rip(g, 1, ex)
			rip(g, 3, ex)
			arguments(g, 3, 0xd1, code[1], code[2], code[3])
		}, 3, "KeBugCheckEx"},
		{"the place outweighs the arguments", guestsim.Options{CPUs: 3}, func(g *guestsim.Guest) {
			arguments(g, 1, 0xd1, code[1], code[2], code[3])
			rip(g, 2, plain)
		}, 2, "KeBugCheck"},
		{"the code and one parameter", guestsim.Options{CPUs: 3}, func(g *guestsim.Guest) { arguments(g, 1, 0xd1, code[1], 7, 7) }, -1, ""},
		{"the code and zeros", guestsim.Options{CPUs: 3, BugCheck: [5]uint64{0xa, 0xffff800000000010, 0, 0, 1}}, func(g *guestsim.Guest) {
			arguments(g, 1, 0xa, 0, 0, 0)
		}, -1, ""},
		{"the parameters without the code", guestsim.Options{CPUs: 3}, func(g *guestsim.Guest) { arguments(g, 1, 0xd2, code[1], code[2], code[3]) }, -1, ""},
		{"the only processor", guestsim.Options{CPUs: 1}, nil, 0, "the only one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.opt.BugCheck[0] == 0 {
				tt.opt.BugCheck = code
			}
			g := guestsim.New(tt.opt)
			ownTables(g)
			stopExports(g, ex, plain)
			if tt.poke != nil {
				tt.poke(g)
			}
			_, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			shown, known := shownFirst(t, r)
			assert.Equal(t, tt.want >= 0, known)
			assert.Equal(t, max(tt.want, 0), shown)
			assert.Contains(t, findingOf(r, finding.ShownFirst.ID()).Message, tt.says)
		})
	}
}

// TestFrozenContexts: what Windows saved of the processors that it froze stays,
// wherever they were.
func TestFrozenContexts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		cs, ss       uint16
		rip, rsp     uint64
		want         report.ContextSource
		alsoVerdicts string
	}{
		{"64-bit code of a process", 0x33, 0x2b, 0x7ff6aabb1234, 0x3f5aeff9a8, report.FromSaved, "OK"},
		{"32-bit code of a process", 0x23, 0x2b, 0x6aab1234, 0x2efd44, report.FromSaved, "WARN"},
		{"code of no module", 0x10, 0x18, 0, 0, report.FromSaved, "OK"},
		{"a system call begins", 0x10, 0, guestsim.KernBase + 0x401180, 0x3f5aeff9a8, report.FromSaved, "OK"},
		{"the kernel at an address of a process", 0x10, 0x18, 0x401000, 0, report.FromVCPU, "OK"},
		{"a stack that is nowhere", 0x10, 0x18, guestsim.KernBase + 0x401180, 0xffffd00012345000, report.FromVCPU, "OK"},
		{"never written", 0, 0, 0, 0, report.FromVCPU, "OK"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash})
			ownTables(g)
			p := g.Processors[0]
			if tt.rip == 0 && tt.cs != 0 {
				tt.rip = p.Stack + 0x10
			}
			if tt.rsp == 0 {
				tt.rsp = p.SavedRsp
			}
			g.Write16(p.Context+0x38, tt.cs)
			g.Write16(p.Context+0x42, tt.ss)
			g.Write64(p.Context+0xf8, tt.rip)
			g.Write64(p.Context+0x98, tt.rsp)
			dmp, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, tt.want, r.Processors[0].Contexts, r.Processors[0].Note)
			assert.Equal(t, tt.alsoVerdicts, r.Verdict)
			if tt.want == report.FromSaved {
				assert.Equal(t, tt.rip, contextAt(t, dmp, g, 0).Rip)
			}
		})
	}
}

// TestCrashed32: the processor that crashed and those that were frozen, of a guest of 32
// bits. Its kernel saves where the call in KeBugCheckEx returns to.
func TestCrashed32(t *testing.T) {
	t.Parallel()
	const stop, plain, idle = 0x5000, 0x6000, 0x3c923
	le := binary.LittleEndian
	for _, tt := range []struct {
		name string
		eip  uint32 // of processor 1, in nt
		poke func(b *bare32, context vtop.VA, call []uint32)
		want int
		says string
	}{
		{name: "in KeBugCheckEx", eip: stop + 0x1e, want: 1, says: "KeBugCheckEx"},
		{name: "at its first instruction", eip: stop, want: 1, says: "KeBugCheckEx"},
		{name: "in KeBugCheck", eip: plain + 0x14, want: 1, says: "KeBugCheck"},
		{name: "at the breakpoint", eip: 0xde100, want: 1, says: "DbgBreakPointWithStatus"},
		{name: "beyond", eip: stop + 0x40, want: -1},
		{name: "by the stack, one parameter is another", eip: idle, want: 1, says: "arguments", poke: func(b *bare32, context vtop.VA, call []uint32) {
			esp := le.Uint32(b.at(b.pa(context + 0xc4)))
			for i, v := range append(call[:3:3], 0x1234, call[4]) {
				b.write(vtop.VA(esp)+0x20+4*vtop.VA(i), le.AppendUint32(nil, v))
			}
		}},
		{name: "the code alone on the stack", eip: idle, want: -1, poke: func(b *bare32, context vtop.VA, call []uint32) {
			esp := le.Uint32(b.at(b.pa(context + 0xc4)))
			b.write(vtop.VA(esp)+0x20, le.AppendUint32(nil, call[0]))
		}},
		{name: "frozen in a process", eip: (0x401000 - nt32) & 0xffffffff, want: -1, poke: func(b *bare32, context vtop.VA, _ []uint32) {
			b.write(context+0xbc, le.AppendUint32(nil, 0x1b))
			b.write(context+0xc8, le.AppendUint32(nil, 0x23))
			b.write(context+0xc4, le.AppendUint32(nil, 0x12f000))
		}},
		{name: "frozen in a DOS program", eip: (0x1234 - nt32) & 0xffffffff, want: -1, poke: func(b *bare32, context vtop.VA, _ []uint32) {
			b.write(context+0xbc, le.AppendUint32(nil, 0xf000))
			b.write(context+0xc0, le.AppendUint32(nil, 0x20246))
			b.write(context+0xc4, le.AppendUint32(nil, 0x100))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBare32(t, "x86-bsod-2cpu")
			path := filepath.Join(t.TempDir(), "core")
			require.NoError(t, os.WriteFile(path, b.file(), 0o600))
			g := findIn(t, path)
			bc := g.BugCheck()
			call := []uint32{bc.Code}
			for _, v := range bc.Parameters {
				call = append(call, uint32(v))
			}
			export32(b, stop, plain)
			first, second := g.Processors()[0], g.Processors()[1]
			// Processor 0 is frozen: away from the stack of the call.
			b.write(first.Context+0xb8, le.AppendUint32(nil, nt32+idle))
			b.write(first.Context+0xc4, le.AppendUint32(nil, le.Uint32(b.at(b.pa(first.Context+0xc4)))+0x1000))
			b.write(second.Context+0xb8, le.AppendUint32(nil, (nt32+tt.eip)&0xffffffff))
			if tt.poke != nil {
				tt.poke(b, second.Context, call)
			}
			_, r, err := convertBytes(t, b.file(), convert.Options{})
			require.NoError(t, err)
			shown, known := shownFirst(t, r)
			assert.Equal(t, tt.want >= 0, known, findingOf(r, finding.ShownFirst.ID()).Message)
			assert.Equal(t, max(tt.want, 0), shown)
			assert.Contains(t, findingOf(r, finding.ShownFirst.ID()).Message, tt.says)
			for i := range r.Processors {
				assert.Equal(t, report.FromSaved, r.Processors[i].Contexts, r.Processors[i].Note)
			}
		})
	}
}

// export32 lets the kernel export what ends in a bug check: an export directory of two
// names in place of its own.
func export32(b *bare32, ex, plain uint32) {
	const dir = nt32 + 0x1000
	put := func(at vtop.VA, v ...uint32) {
		for i, x := range v {
			b.write(dir+at+4*vtop.VA(i), binary.LittleEndian.AppendUint32(nil, x))
		}
	}
	put(0x14, 2, 2, 0x1100, 0x1110, 0x1120)
	put(0x100, plain, ex)
	put(0x110, 0x1130, 0x1140)
	put(0x120, 1<<16)
	b.write(dir+0x130, []byte("KeBugCheck\x00"))
	b.write(dir+0x140, []byte("KeBugCheckEx\x00"))
}
