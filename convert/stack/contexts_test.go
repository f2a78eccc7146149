package stack_test

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/stack"
	"windmp/internal/guestsim"
	"windmp/vtop"
)

// word is a number that JSON has as text, such as "0x1e".
type word uint64

func (n *word) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 0, 64)
	*n = word(v)
	return err
}

// crashContext is what a real x64 machine saved of the processor that crashed.
type crashContext struct {
	Code       word            `json:"code"`
	Parameters [4]word         `json:"parameters"`
	Registers  map[string]word `json:"registers"`
	CodeAtRip  string          `json:"code_at_rip"`
	RipInNt    word            `json:"rip_in_nt"`
}

// TestCrashContexts: from what real machines saved of the processor that crashed, without
// unwind data, exports or code but that at Rip, the walk begins where the crash was: at
// the exception's CONTEXT, or with the call of KeBugCheckEx, whose return address is the
// one on top of the stack; and a trap frame in R9 is found.
func TestCrashContexts(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../testdata/crash-contexts.json")
	require.NoError(t, err)
	var list []crashContext
	require.NoError(t, json.Unmarshal(b, &list))
	require.Len(t, list, 46)
	for i, c := range list {
		t.Run(strconv.Itoa(i)+" "+strconv.FormatUint(uint64(c.Code), 16), func(t *testing.T) {
			t.Parallel()
			c.check(t)
		})
	}
}

func (x *crashContext) check(t *testing.T) {
	t.Helper()
	code := [5]uint64{uint64(x.Code)}
	for i, v := range x.Parameters {
		code[1+i] = uint64(v)
	}
	exception := x.RipInNt == 0
	if exception { // it was in a driver: here, in this guest's
		code[2] = driver + 0x1234
	}
	c := newSimCrash(code)
	g := c.Guest
	g.Image(guestsim.KernBase, guestsim.ImageIdentity{Size: g.ImageSize, Export: "ntoskrnl.exe", PDB: "ntkrnlmp.pdb"})
	for name, off := range map[string]uint64{"rcx": 0x80, "rdx": 0x88, "r8": 0xb8, "r9": 0xc0} {
		g.Write64(c.p.Context+off, uint64(x.Registers[name]))
	}
	rip := guestsim.KernBase + uint64(x.RipInNt)
	if exception {
		rip = code[2]
	} else {
		g.Map(rip, 0x20)
		for i := 0; i+1 < len(x.CodeAtRip); i += 2 {
			v, err := strconv.ParseUint(x.CodeAtRip[i:i+2], 16, 8)
			require.NoError(t, err)
			g.Write(rip+uint64(i/2), []byte{byte(v)})
		}
	}
	g.Write64(c.p.Context+0xf8, rip)
	caller := uint64(driver + 0x1234)
	c.push(caller)
	calledTrap := map[uint32]bool{0x50: true}[uint32(x.Code)]
	instruction := uint64(x.Parameters[2])
	trap := c.p.Stack + 0x600
	if calledTrap { // where R9 points, in this guest
		g.Write64(c.p.Context+0xc0, trap)
		c.trap(trap, instruction, c.p.SavedRsp+0x100)
	}

	w, cpus, _ := c.walker(t)
	s, ok := w.Crash(cpus, 1)
	require.True(t, ok)
	sign := w.Sign(s)
	require.NotNil(t, sign)
	switch {
	case exception:
		assert.Equal(t, stack.FromSaved, s.Start.Source)
		assert.Equal(t, vtop.VA(rip), s.Frames[0].PC)
		assert.Equal(t, stack.ByInstruction, sign.Chosen)
		assert.Equal(t, uint32(0x7e), sign.Code)
		assert.Equal(t, uint32(x.Parameters[0]&0xffffffff), sign.Exception)
	case calledTrap:
		assert.Equal(t, stack.FromTrap, s.Start.Source)
		assert.Equal(t, vtop.VA(instruction), s.Frames[0].PC)
	default:
		assert.Equal(t, stack.FromSaved, s.Start.Source)
		require.GreaterOrEqual(t, len(s.Frames), 2)
		assert.Equal(t, vtop.VA(rip), s.Frames[0].PC)
		assert.Equal(t, vtop.VA(caller), s.Frames[1].PC)
		assert.Equal(t, stack.Entry, s.Frames[1].How)
		assert.Equal(t, "mydrv.sys", sign.Place.File)
	}
}
