package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/physmem/open"
	"windmp/physmem/windump"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// This file describes a machine that nobody has built, and takes its Windows from a
// container of its own to a dump that is found good. Nothing else in the project
// knows of it.

// thirdHeader is its dump header: the fields that the others have too, in another
// order and in other sizes.
type thirdHeader struct {
	Signature, ValidDump uint32
	DumpType             winhdr.DumpType
	MachineImageType     uint16
	NumberProcessors     uint8
	_                    uint8
	MajorVersion         uint16
	MinorVersion         uint16
	NumberOfPages        uint32
	NumberOfRuns         uint32
	Run                  [5]struct{ PageCount, BasePage uint32 }
	Context              [64]byte
	Exception            struct{ ExceptionFlags, ExceptionCode, ExceptionAddress uint64 }
	DirectoryTableBase   uint64
	PfnDataBase          uint64
	PsLoadedModuleList   uint64
	PsActiveProcessHead  uint64
	KdDebuggerDataBlock  uint64
	BugCheckCode         uint32
	_                    uint32
	BugCheckParameters   [4]uint64
	SystemTime           uint64
	SystemUpTime         uint64
	RequiredDumpSpace    uint64
	Comment              [128]byte
	Room                 [0x3000 - 464]byte
}

// thirdContext is its CONTEXT.
type thirdContext struct{ PC, Stack, Kernel, A, B uint64 }

const thirdMachine = 0x4d55

func (c *thirdContext) Machine() uint32               { return thirdMachine }
func (c *thirdContext) IP() uint64                    { return c.PC }
func (c *thirdContext) SP() uint64                    { return c.Stack }
func (c *thirdContext) Arguments() []uint64           { return []uint64{c.A, c.B} }
func (c *thirdContext) CheckMode() error              { return nil }
func (c *thirdContext) CheckForReaders() error        { return nil }
func (c *thirdContext) PlausibleSaved() error         { return c.Plausible() }
func (c *thirdContext) Mode() string                  { return "kernel" }
func (c *thirdContext) ForHeader() wincontext.Context { return c.Clone() }
func (c *thirdContext) Clone() wincontext.Context     { return new(*c) }
func (c *thirdContext) Encode() []byte                { return packed(c) }
func (c *thirdContext) Same(o wincontext.Context, _ wincontext.RegisterSet) bool {
	return bytes.Equal(packed(c), o.Encode())
}

func (c *thirdContext) Plausible() error {
	if c.Kernel != 1 {
		return problem.Problem{Field: "Kernel", Offset: 16, Got: "something else", Want: "1"}
	}
	return nil
}

// packed is a structure as memory has it.
func packed(v any) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, v)
	return b
}

// thirdMode has 3 levels, valid entries with the highest bit, and pages that are
// marked otherwise than tables.
var thirdMode = &vtop.Mode{
	Name: "third, 3 levels", PointerSize: 8, EntrySize: 8,
	Levels: []vtop.Level{
		{Name: "leaf", Bits: 8, Page: thirdPage(0xffff_f000)},
		{Name: "branch", Bits: 9, Page: thirdPage(0xfff0_0000), Table: thirdTable},
		{Name: "trunk", Bits: 6, Table: thirdTable},
	},
	SignExtended: true, KernelStart: 0xffff_fffc_0000_0000,
	RootMask: 0xffff_f000, Present: 1 << 63, RootByMapping: true,
}

var thirdTable = vtop.Form{Mask: 7 << 61, Value: 1 << 63, Address: 0xffff_f000}

func thirdPage(address vtop.Entry) vtop.Form {
	return vtop.Form{Mask: 7 << 61, Value: 5 << 61, Address: address}
}

// thirdRegisters are the registers of a vCPU, in the container and in memory.
type thirdRegisters struct {
	Context   thirdContext
	PCR, Root uint64
}

// Machine implements physmem.Registers.
func (r *thirdRegisters) Machine() physmem.Machine { return "third" }

// Clone implements physmem.Registers.
func (r *thirdRegisters) Clone() physmem.Registers { return new(*r) }

// thirdSpecials are its special registers.
type thirdSpecials struct{ DTB, Status uint64 }

func (s *thirdSpecials) Root() uint64              { return s.DTB }
func (s *thirdSpecials) UpperRoot() uint64         { return 0 }
func (s *thirdSpecials) CodeTable() specials.Table { return specials.Table{} }
func (s *thirdSpecials) Clone() specials.Registers { return new(*s) }

// third is the machine.
var third = &machine.Machine{
	Header: &winhdr.Format{
		Name: "third", Title: "third machine", Qualifier: "third",
		Machine: thirdMachine, ValidDump: 0x3144_5233,
		Header: fields.Of[thirdHeader](), LeastSize: 0x200, Padding: []string{"Room"},
		MaxProcessors: 8, MinBuild: 100, PFNLimit: 0x10_0000, PFNReason: "it is made up",
		PointerSize: 8, KernelStart: 0xffff_fffc_0000_0000,
		TableBase: func(h *winhdr.Header) uint64 { return h.DirectoryTableBase & 0xffff_f000 },
		Registers: fields.Of[thirdContext](),
		DecodeContext: func(b []byte) (wincontext.Context, error) {
			c := new(thirdContext)
			_, err := binary.Decode(b, binary.LittleEndian, c)
			return c, err
		},
	},
	Kernel: &kdbg.Layout{
		PointerSize: 8, LowestKernel: 0xffff_fffc_0000_0000,
		FirstImage: 0xffff_fffc_0000_0000, LastImage: 0xffff_fffe_ffff_ffff,
		SharedUserData: vtop.VA(va3(pa3Shared)),
		Image:          peimage.Format{Machine: 0x1234, Magic: 0x20b},
		Loader:         kdbg.LoaderLayout{DllBase: 0x10, EntryPoint: 0x18, SizeOfImage: 0x20, FullDllName: 0x28, BaseDllName: 0x38},
		Processor: kdbg.ProcessorLayout{
			Self: 8, CurrentPrcb: 0x10, Prcb: 0x40, Number: 0x18,
			SpecialRegisters: func(*wire.Data) uint16 { return 0x100 },
		},
		Specials: specials.Codec{
			Size: 16,
			Decode: func(b []byte) specials.Registers {
				s := new(thirdSpecials)
				_, _ = binary.Decode(b, binary.LittleEndian, s)
				return s
			},
			Edits: func(s specials.Registers) []specials.Edit {
				v, ok := s.(*thirdSpecials)
				if !ok {
					return nil
				}
				return []specials.Edit{{Bytes: packed(v), What: "ROOT, STATUS"}}
			},
		},
	},
	Modes:    []*vtop.Mode{thirdMode},
	Likely:   func(*winhdr.Header, bool, []physmem.CPU) []*vtop.Mode { return []*vtop.Mode{thirdMode} },
	RootName: "ROOT", RootFlags: "tag", PointerName: "pc", Settles: true,
	Owns: func(c *physmem.CPU) bool { _, ok := c.Registers.(*thirdRegisters); return ok },
	State: func(c *physmem.CPU) machine.State {
		r, ok := c.Registers.(*thirdRegisters)
		if !ok {
			return machine.State{}
		}
		return machine.State{
			HasSystem: true, Root: r.Root, Mode: thirdMode, Paged: true, InKernel: true,
			Kernel:  kdbg.Registers{PCR: vtop.VA(r.PCR), IP: vtop.VA(r.Context.PC)},
			Context: &r.Context, Specials: &thirdSpecials{DTB: r.Root, Status: 0x77},
		}
	},
	Registers: func(s machine.Saved) physmem.Registers { return &thirdRegisters{PCR: uint64(s.PCR)} },
}

// box is its container: a mark, the guest's header or zeros, two vCPUs, and from boxMemory on
// all of the memory.
var box = physmem.Opener{Format: "box", Open: func(_ context.Context, src physmem.Source) (*physmem.Container, error) {
	head := make([]byte, boxMemory)
	if n, err := src.ReadAt(head, 0); n < len(head) {
		return nil, physmem.NotMine("too short for a box: %v", err)
	}
	if string(head[:8]) != boxMark {
		return nil, physmem.NotMine("no %q at its start", boxMark)
	}
	c := &physmem.Container{
		Description: "a box", Machine: "third",
		Memory: extents.New(src, []physmem.Extent{{
			Range: physmem.Range{Start: base3, Size: size3}, Offset: boxMemory,
		}}),
	}
	if note := head[0x1000:][:third.Header.Size()]; note[0] != 0 {
		c.GuestNote = &physmem.Note{Name: "header", Desc: note, Offset: 0x1000}
	}
	for i := range 2 {
		r := new(thirdRegisters)
		if _, err := binary.Decode(head[0x100*(i+1):], binary.LittleEndian, r); err != nil {
			return nil, err
		}
		c.CPUs = append(c.CPUs, physmem.CPU{Index: i, ID: uint32(i), Registers: r})
	}
	return c, nil
}}

const (
	boxMark   = "BOX FOR "
	boxMemory = 0x8000
	// The guest's memory, all of which its kernel maps.
	base3, size3 = 0x40_0000, 0x10_0000
	// Where in it things lie.
	pa3Trunk, pa3Branch, pa3Leaf                 = 0x1000, 0x2000, 0x3000
	pa3Shared, pa3Kernel, pa3Block, pa3Variables = 0x4000, 0x10000, 0x12000, 0x13000
	pa3PCR, pa3Stack                             = 0x20000, 0x30000
	build3                                       = 26100
)

// va3 is the kernel's address of a place in memory.
func va3(at uint64) uint64 { return 0xffff_fffd_0030_0000 + at }

// memory3 is the guest's memory, by the places in it.
type memory3 []byte

func (m memory3) put(at uint64, values ...uint64) { copy(m[at:], packed(values)) }

func (m memory3) put32(at uint64, v uint32) { copy(m[at:], packed(v)) }

func (m memory3) text(at uint64, s string) { copy(m[at:], packed(utf16.Encode([]rune(s)))) }

// registers3 are those of a vCPU.
func registers3(i uint64) thirdRegisters {
	return thirdRegisters{
		Context: thirdContext{PC: va3(pa3Kernel + 0x1100 + i), Stack: va3(pa3Stack + 0x800 + 0x1000*i), Kernel: 1, A: 0xaaaa + i},
		PCR:     va3(pa3PCR + 0x1000*i), Root: base3 + pa3Trunk | 5,
	}
}

// saved3 is what Windows saved of a processor when it crashed.
func saved3(i uint64, crash []uint64) thirdContext {
	c := thirdContext{PC: va3(pa3Kernel + 0x1200), Stack: va3(pa3Stack + 0x400 + 0x1000*i), Kernel: 1}
	if i == 1 {
		c.A, c.B = crash[0], crash[1]
	}
	return c
}

// guest3 is the guest's memory. crash are the bug check's code and parameters, zeros
// if there was none.
func guest3(crash []uint64) memory3 {
	m := make(memory3, size3)
	const table, page = 1 << 63, 5 << 61
	m.put(pa3Trunk+8*(32+8), table|base3+pa3Branch)
	m.put(pa3Branch+8*3, table|base3+pa3Leaf)
	for i := range uint64(size3 / physmem.PageSize) {
		m.put(pa3Leaf+8*i, page|base3+i*physmem.PageSize)
	}
	// KUSER_SHARED_DATA.
	const now = 0x01db3f2e_5a6b7c80
	m.put(pa3Shared+0x14, now)
	m.put32(pa3Shared+0x1c, now>>32)
	m.text(pa3Shared+0x30, `C:\Windows`)
	m.put32(pa3Shared+0x260, 0xf0000000|build3)
	m.put32(pa3Shared+0x26c, 10)
	// The kernel's image.
	m.put32(pa3Kernel, 0x5a4d)
	m.put32(pa3Kernel+0x3c, 0x80)
	m.put32(pa3Kernel+0x80, 0x4550)
	m.put32(pa3Kernel+0x84, 0x1234)
	m.put32(pa3Kernel+0x94, 0xf0)
	m.put32(pa3Kernel+0x98, 0x20b)
	m.put32(pa3Kernel+0x98+56, 0x6000)
	// KDBG, and what it names.
	const list, modules, processes, array, bugcheck, pfn, thread, process, memory = pa3Variables, pa3Variables + 0x100, pa3Variables + 0x200,
		pa3Variables + 0x300, pa3Variables + 0x400, pa3Variables + 0x500, pa3Variables + 0x600, pa3Variables + 0x800, pa3Variables + 0x900
	var d wire.Data
	d.Header = wire.DataHeader{List: wire.ListEntry64{Flink: va3(list), Blink: va3(list)}, OwnerTag: wire.OwnerTag, Size: 0x390}
	d.KernBase, d.MmPageSize = va3(pa3Kernel), physmem.PageSize
	d.PsLoadedModuleList, d.PsActiveProcessHead = va3(modules), va3(processes)
	d.KiProcessorBlock, d.KiBugcheckData, d.MmPfnDatabase = va3(array), va3(bugcheck), va3(pfn)
	d.MmPhysicalMemoryBlock = va3(memory)
	d.OffsetPrcbContext, d.OffsetPrcbCurrentThread = 0x20, 0x28
	d.OffsetKThreadApcProcess, d.OffsetEprocessDirectoryTableBase = 0x30, 0x38
	copy(m[pa3Block:], packed(&d)[:d.Header.Size])
	m.put(memory, va3(memory+8), 1, size3/physmem.PageSize, base3/physmem.PageSize, size3/physmem.PageSize)
	m.put(list, va3(pa3Block), va3(pa3Block))
	m.put(processes, va3(processes), va3(processes))
	m.put(bugcheck, crash...)
	m.put(thread+0x30, va3(process))
	m.put(process+0x38, base3+pa3Trunk)
	// The only module.
	const entry, name = modules + 0x20, modules + 0x80
	m.put(modules, va3(entry), va3(entry))
	m.put(entry, va3(modules), va3(modules), va3(pa3Kernel), va3(pa3Kernel+0x1000), 0x6000)
	for _, at := range []uint64{entry + 0x28, entry + 0x38} {
		m.put(at, 8<<16|6, va3(name))
	}
	m.text(name, "nt3")
	// The processors.
	for i := range uint64(2) {
		pcr := pa3PCR + 0x1000*i
		prcb, context := pcr+0x40, pcr+0x800
		m.put(array+8*i, va3(prcb))
		m.put(pcr+8, va3(pcr), va3(prcb))
		m.put(prcb+0x18, i, va3(context), va3(thread))
		m.put(prcb+0x100, base3+pa3Trunk)
		saved := saved3(i, crash)
		copy(m[context:], packed(&saved))
	}
	return m
}

// header3 is the header that a driver in the guest leaves at its start.
func header3(t *testing.T) []byte {
	t.Helper()
	require.NoError(t, third.Header.Validate())
	h := third.Header.New()
	h.MajorVersion, h.MinorVersion, h.NumberProcessors = 15, build3, 2
	h.DirectoryTableBase = base3 + pa3Trunk
	h.PfnDataBase = va3(pa3Variables + 0x500)
	h.PsLoadedModuleList, h.PsActiveProcessHead = va3(pa3Variables+0x100), va3(pa3Variables+0x200)
	h.KdDebuggerDataBlock, h.BugCheckParameters[0] = va3(pa3Block), va3(pa3Block)
	h.BugCheckCode, h.SystemTime = 0, 0x01db3f2e_00000000
	require.NoError(t, h.SetRuns([]physmem.Run{{BasePage: base3 / physmem.PageSize, PageCount: size3 / physmem.PageSize}}))
	return h.Encode()
}

// boxOf writes the container and returns its path.
func boxOf(t *testing.T, m memory3, header []byte) string {
	t.Helper()
	file := make([]byte, boxMemory, boxMemory+len(m))
	copy(file, boxMark)
	for i := range uint64(2) {
		r := registers3(i)
		copy(file[0x100*(i+1):], packed(&r))
	}
	copy(file[0x1000:], header)
	path := filepath.Join(t.TempDir(), "guest.box")
	require.NoError(t, os.WriteFile(path, append(file, m...), 0o400))
	return path
}

// TestThirdMachine: a machine is one value, a container one opener.
func TestThirdMachine(t *testing.T) {
	t.Parallel()
	machines := append(machine.All(), third)
	for name, crash := range map[string][]uint64{"live": make([]uint64, 5), "crashed": {0xd1, 0xb0b, 2, 3, 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crashed := crash[0] != 0
			m := guest3(crash)
			in := boxOf(t, m, header3(t))
			out := in + ".dmp"
			from := source.Options{Input: open.Options{Openers: []physmem.Opener{box, windump.Opener(third.Header)}}}
			opt := convert.Options{Source: from, Guest: guest.Options{Machines: machines}}
			r, err := convert.File(t.Context(), in, out, opt)
			require.NoError(t, err)
			assert.Equal(t, "third", r.Guest.Machine)

			// The header.
			dmp, err := os.ReadFile(out)
			require.NoError(t, err)
			require.Len(t, dmp, third.Header.Size()+size3)
			h, err := winhdr.Decode(dmp, machine.Formats(machines)...)
			require.NoError(t, err)
			require.Same(t, third.Header, h.Format())
			assert.Empty(t, h.Check())
			assert.Equal(t, winhdr.DumpTypeFull, h.DumpType)
			assert.EqualValues(t, len(dmp), h.RequiredDumpSpace)
			assert.EqualValues(t, base3+pa3Trunk, h.DirectoryTableBase)
			assert.Equal(t, uint64(0x01db3f2e_5a6b7c80), h.SystemTime, "that of KUSER_SHARED_DATA")

			// Its registers, and those in memory; nothing else of the memory changes.
			shown := registers3(0).Context
			if crashed {
				shown = saved3(1, crash)
				assert.EqualValues(t, 0xd1, h.BugCheckCode)
				assert.Equal(t, [4]uint64(crash[1:]), h.BugCheckParameters)
			} else {
				assert.Equal(t, uint32(bugcheck.LiveSystemDump), h.BugCheckCode)
			}
			assert.Equal(t, &shown, h.Context())
			want := bytes.Clone(m)
			for i := range uint64(2) {
				if crashed {
					continue
				}
				c := registers3(i)
				copy(want[pa3PCR+0x1000*i+0x800:], packed(&c.Context))
				copy(want[pa3PCR+0x1000*i+0x140:], packed(&thirdSpecials{DTB: c.Root, Status: 0x77}))
			}
			assert.True(t, bytes.Equal(want, dmp[third.Header.Size():]))
			checkThird(t, inspect.CheckOptions{Source: from, Guest: opt.Guest, Level: inspect.CheckFull}, in, out)

			// An ELF core does not speak of it.
			opt.Plan.To = plan.FormatELF
			_, err = convert.File(t.Context(), in, out+".elf", opt)
			var usage *stage.UsageError
			require.ErrorAs(t, err, &usage)
		})
	}
}

// TestThirdMachineWithoutHeader: where the guest left no header, Windows is found in
// its memory, and the header is built.
func TestThirdMachineWithoutHeader(t *testing.T) {
	t.Parallel()
	m := guest3(make([]uint64, 5))
	in := boxOf(t, m, nil)
	r, err := convert.File(t.Context(), in, in+".dmp", convert.Options{
		Source: source.Options{Input: open.Options{Openers: []physmem.Opener{box}}},
		Guest:  guest.Options{Machines: append(machine.All(), third)},
	})
	require.NoError(t, err)
	assert.Equal(t, "third", r.Guest.Machine)
	dmp, err := os.ReadFile(in + ".dmp")
	require.NoError(t, err)
	h, err := winhdr.Decode(dmp, third.Header)
	require.NoError(t, err)
	assert.Empty(t, h.Check())
	assert.EqualValues(t, build3, h.MinorVersion)
	assert.EqualValues(t, 2, h.NumberProcessors)
	assert.EqualValues(t, base3+pa3Trunk, h.DirectoryTableBase)
	runs, _ := h.Runs()
	assert.Equal(t, physmem.Runs{{BasePage: base3 / physmem.PageSize, PageCount: size3 / physmem.PageSize}}, runs)
	shown := registers3(0).Context
	assert.Equal(t, &shown, h.Context())
}

// checkThird: the box converts and the dump is good; whoever does not know of the
// machine reads neither.
func checkThird(t *testing.T, opt inspect.CheckOptions, in, out string) {
	t.Helper()
	checked, err := inspect.Check(t.Context(), opt, source.File(in), source.File(out))
	require.NoError(t, err)
	for i, kind := range []string{"core", "dump"} {
		f := &checked.Files[i]
		assert.Equal(t, kind, f.Kind)
		require.NoError(t, f.Err)
		assert.Equal(t, "OK", f.Verdict, "%s: %v", kind, f.Findings)
		require.NotNil(t, f.System)
		assert.Equal(t, "third", f.System.Machine)
	}
	info, err := inspect.Info(t.Context(), source.File(out), inspect.InfoOptions{Source: opt.Source, Guest: opt.Guest})
	require.NoError(t, err)
	require.Len(t, info.CPUs, 2)
	assert.Equal(t, report.Hex(va3(pa3Kernel)), info.Kernel.Base)

	unknown, err := inspect.Check(t.Context(), inspect.CheckOptions{}, source.File(in), source.File(out))
	require.NoError(t, err)
	for i := range unknown.Files {
		assert.NotEqual(t, "OK", unknown.Files[i].Verdict)
	}
}
