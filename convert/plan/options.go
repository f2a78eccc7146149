package plan

import (
	"fmt"

	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/convert/triage"
)

// ContextMode says which registers the dump shows for each processor.
type ContextMode string

const (
	// ContextsAuto takes the vCPU's state of a live guest. Of a crashed guest it
	// keeps the CONTEXT that Windows itself saved for a processor where that is
	// valid, as Windows' own MEMORY.DMP would hold it, else the vCPU's.
	ContextsAuto ContextMode = "auto"
	// ContextsVCPU always takes the vCPU's state, as QEMU's win-dmp does.
	ContextsVCPU ContextMode = "vcpu"
	// ContextsSaved never overwrites what the guest's memory holds.
	ContextsSaved ContextMode = "saved"
)

// OutputType is the type of dump that is written.
type OutputType string

const (
	// OutputAuto is a full dump, or a bitmap dump when the guest's memory lies in
	// more runs than a full dump can list.
	OutputAuto OutputType = "auto"
	// OutputFull is DumpType 1: every page that the guest's memory descriptor
	// lists, 42 runs at most.
	OutputFull OutputType = "full"
	// OutputBitmap is DumpType 5: the same pages, any number of runs. Debuggers
	// older than Windows 8's do not read it.
	OutputBitmap OutputType = "bitmap"
	// OutputKernel is DumpType 6: the pages that the kernel's half of the address
	// space maps, and the page tables to it.
	OutputKernel OutputType = "kernel"
	// OutputTriage is DumpType 4, a small dump: what crashed, in the size of an
	// attachment.
	OutputTriage OutputType = "triage"
)

// Options choose what the output holds. The zero value means: a full dump,
// contexts auto, missing pages refuse.
type Options struct {
	// Contexts chooses the registers of each processor; empty means auto.
	Contexts ContextMode
	// Missing chooses what happens to pages the source lacks; empty means fail.
	Missing report.MissingMode
	// To chooses the container; empty means a Windows dump. An ELF core holds what
	// the source holds, so that Missing can't be zero; of Type it can be full or
	// kernel.
	To OutputFormat
	// Type chooses the type of dump; empty means auto.
	Type OutputType
	// KeepProcesses are the ids of processes whose user memory a kernel dump
	// keeps as well, and of which a small dump may hold some.
	KeepProcesses []uint64
	// Size is the most bytes that a small dump has; 0 means [triage.DefaultSize].
	Size int64
	// Strict makes a finding of severity warn refuse the conversion, before
	// anything is written.
	Strict bool
}

// Validate returns a [*stage.UsageError] if the options make no sense.
func (o Options) Validate() error {
	for _, check := range []func() error{
		func() error { _, err := ParseContextMode(string(o.contexts())); return err },
		func() error { _, err := ParseMissingMode(string(o.missing())); return err },
		func() error { _, err := ParseOutputType(string(o.outputType())); return err },
		func() error { _, err := ParseOutputFormat(string(o.format())); return err },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if len(o.KeepProcesses) > 0 && o.Type != OutputKernel && o.Type != OutputTriage {
		return &stage.UsageError{Reason: "only a kernel or triage dump can keep the memory of single processes"}
	}
	if err := o.validateSize(); err != nil {
		return err
	}
	if o.format() != FormatELF {
		return nil
	}
	switch {
	case o.Type == OutputTriage:
		return &stage.UsageError{Reason: "an ELF core is all of a machine: there is no small one", Hint: "leave out the container, or the type of dump"}
	case o.Type == OutputBitmap:
		return &stage.UsageError{Reason: "an ELF core has no bitmap", Hint: "leave out the type of dump, or choose full or kernel"}
	case o.Missing == report.MissingZero:
		return &stage.UsageError{Reason: "an ELF core holds what the source holds: nothing is written as zeros"}
	}
	return nil
}

// validateSize is about what goes with a small dump alone, or not with it.
func (o Options) validateSize() error {
	switch {
	case o.Type != OutputTriage && o.Size != 0:
		return &stage.UsageError{Reason: "only a triage dump can be told its size"}
	case o.Size < 0 || o.Size > triage.MaxSize:
		return &stage.UsageError{Reason: fmt.Sprintf("a triage dump has at most %d bytes", triage.MaxSize)}
	case o.Type == OutputTriage && o.Missing == report.MissingZero:
		return &stage.UsageError{Reason: "a triage dump holds what the source holds: nothing of memory is written as zeros"}
	}
	return nil
}

// format is the container in force.
func (o Options) format() OutputFormat {
	if o.To == "" {
		return FormatDMP
	}
	return o.To
}

// contexts is the mode in force.
func (o Options) contexts() ContextMode {
	if o.Contexts == "" {
		return ContextsAuto
	}
	return o.Contexts
}

// missing is the mode in force.
func (o Options) missing() report.MissingMode {
	if o.Missing == "" {
		return report.MissingFail
	}
	return o.Missing
}

// outputType is the type in force.
func (o Options) outputType() OutputType {
	if o.Type == "" {
		return OutputAuto
	}
	return o.Type
}

// ParseContextMode reads a mode's name; the error is a [*stage.UsageError].
func ParseContextMode(s string) (ContextMode, error) {
	return stage.ParseMode("contexts", s, ContextsAuto, ContextsVCPU, ContextsSaved)
}

// ParseMissingMode reads a mode's name; the error is a [*stage.UsageError].
func ParseMissingMode(s string) (report.MissingMode, error) {
	return stage.ParseMode("missing", s, report.MissingFail, report.MissingZero, report.MissingDrop)
}

// ParseOutputType reads a type's name; the error is a [*stage.UsageError].
func ParseOutputType(s string) (OutputType, error) {
	return stage.ParseMode("type", s, OutputAuto, OutputFull, OutputBitmap, OutputKernel, OutputTriage)
}
