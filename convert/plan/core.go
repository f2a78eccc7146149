package plan

import (
	"context"
	"debug/elf"
	"fmt"
	"slices"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/stage"
	"windmp/physmem"
)

// OutputFormat is the container that is written.
type OutputFormat string

const (
	// FormatDMP is a Windows crash dump.
	FormatDMP OutputFormat = "dmp"
	// FormatELF is an ELF core of the machine, as QEMU's dump-guest-memory lays
	// it out, for the tools of the Linux world.
	FormatELF OutputFormat = "elf"
)

// ParseOutputFormat reads a format's name; the error is a [*stage.UsageError].
func ParseOutputFormat(s string) (OutputFormat, error) {
	return stage.ParseMode("to", s, FormatDMP, FormatELF)
}

// planCore plans an ELF core: memory that the source holds, unchanged, the registers
// of each processor, and the dump header as the VMCOREINFO note, so that the core
// becomes the same dump again.
func (p *Plan) planCore(ctx context.Context, opt Options) error {
	g := p.guest
	if g.Machine().Core.Machine == elf.EM_NONE {
		return &stage.UsageError{Reason: fmt.Sprintf("no ELF core speaks of a guest of machine %s", g.Machine().Name())}
	}
	p.listMemory()
	if err := p.settleMissing(opt); err != nil {
		return err
	}
	if opt.outputType() == OutputKernel {
		if err := p.selectKernel(ctx, opt.KeepProcesses); err != nil {
			return err
		}
	} else {
		p.memory.runs = physmem.RunsOf(g.Image().Ranges())
	}
	if len(p.memory.runs) == 0 {
		return p.found.Refuse(finding.Missing.WithAdvice("").At("", "the source holds no whole page of the guest's memory"), nil)
	}
	note := g.Image().DumpHeader()
	if note == nil {
		note = p.header.Encode()
	}
	runs := physmem.Runs(slices.Collect(p.memory.pageRuns()))
	layout, err := dump.NewELF(g.Machine().Core, runs, p.coreCPUs(opt.contexts()), note)
	if err != nil {
		return p.refuseLayout(err)
	}
	p.layout = layout
	p.stateGuest()
	return nil
}

// stateGuest sets in the plan's header what the report states of the guest: bug check,
// times. The core's note is the guest's own, and stays as it is.
func (p *Plan) stateGuest() {
	reasons, found := len(p.reasons), len(p.found.All)
	p.patchBugCheck()
	p.patchTimes()
	p.reasons, p.found.All = p.reasons[:reasons], p.found.All[:found]
}

// coreCPUs is the state of the processors: what the source recorded of the vCPUs that
// run them, else, or if asked for, what the guest's memory holds of each.
func (p *Plan) coreCPUs(mode ContextMode) []physmem.CPU {
	g := p.guest
	if cpus := g.Image().CPUs(); len(cpus) > 0 && mode != ContextsSaved {
		runs := map[int]bool{}
		for _, proc := range g.Processors() {
			runs[proc.VCPU] = true
		}
		var list []physmem.CPU
		for i, c := range cpus {
			if runs[i] {
				list = append(list, c)
			}
		}
		return list
	}
	var list []physmem.CPU
	for _, proc := range g.Processors() {
		if proc.Saved == nil || proc.Specials == nil {
			p.found.Add(finding.ProcessorLeftOut.At("VA "+proc.PRCB.String(), "processor %d has no registers in the core", proc.Index).Because(proc.SavedErr))
			break // the notes are matched by position
		}
		registers := g.Machine().Registers(machine.Saved{
			Context: proc.Saved, Specials: proc.Specials, PCR: proc.PCR,
			Mode: g.Memory().Space.Mode, Task: g.Memory().TaskSegment,
		})
		list = append(list, physmem.CPU{Index: len(list), Registers: registers})
	}
	return list
}
