package kdbg

import (
	"encoding/binary"
	"fmt"

	"windmp/vtop"
)

// ReadUnverified reads a block as debuggers do: plain, as long as its Size
// says, and neither its tag nor anything that it points to is checked. That is
// [Block.Verify]'s. Fields beyond Size are zero.
//
// Errors: [SizeError] for a Size that is less than the block's head, or more
// than a page, [TruncatedError] with the *vtop.FaultError.
func ReadUnverified(s *vtop.Space, va vtop.VA) (*Block, error) {
	if !kernelAddress(s, va) {
		return nil, &PointerError{What: "KdDebuggerDataBlock", Got: va}
	}
	head, err := readBytes(s, va, headSize)
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[offSize:])
	if size < headSize || size > pageSize {
		return nil, &SizeError{VA: va, Got: size}
	}
	raw, err := readBytes(s, va, size)
	if err != nil {
		return nil, err
	}
	return &Block{VA: va, Raw: raw, Data: decodeFor(s, raw)}, nil
}

// CurrentProcess follows a processor's current thread to the directory table
// of its process, as debuggers do for user addresses: KPRCB.CurrentThread,
// KTHREAD.ApcState.Process, KPROCESS.DirectoryTableBase. The error wraps a
// *vtop.FaultError or is a [PointerError], and says which step failed.
func CurrentProcess(s *vtop.Space, b *Block, prcb vtop.VA) (thread, process vtop.VA, dtb uint64, err error) {
	d := &b.Data
	steps := []struct {
		what   string
		offset uint16
	}{
		{"KPRCB.CurrentThread", d.OffsetPrcbCurrentThread},
		{"KTHREAD.Process", d.OffsetKThreadApcProcess},
		{"KPROCESS.DirectoryTableBase", d.OffsetEprocessDirectoryTableBase},
	}
	at := prcb
	var found [3]vtop.VA
	for i, step := range steps {
		v, err := s.Pointer(at + vtop.VA(step.offset))
		if err != nil {
			return found[0], found[1], 0, fmt.Errorf("%s: %w", step.what, err)
		}
		found[i] = v
		if i < len(steps)-1 && (!kernelAddress(s, v) || step.offset == 0) {
			return found[0], found[1], 0, &PointerError{What: step.what, At: at + vtop.VA(step.offset), Got: v}
		}
		at = v
	}
	return found[0], found[1], uint64(found[2]), nil
}
