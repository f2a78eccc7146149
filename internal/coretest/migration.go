package coretest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"windmp/physmem"
)

var be = binary.BigEndian

// Migration returns QEMU's migration stream of the guest, stopped: a board with all that
// the image has below 3 GiB and from 4 GiB on, the clock with its CMOS, the processors, the
// description. What the image lacks there is zeros. The processors have the registers that
// QEMU's notes lack ([WithAll]).
//
// Source of the layout: QEMU migration/savevm.c, ram.c, hw/rtc/mc146818rtc.c and
// target/i386/machine.c of 7.2.
func Migration(tb testing.TB, m *physmem.Image, cpus []physmem.CPU, machine string) []byte {
	tb.Helper()
	var b bytes.Buffer
	WriteMigration(tb, &b, m, cpus, machine)
	return b.Bytes()
}

// WriteMigration writes what [Migration] returns.
func WriteMigration(tb testing.TB, out io.Writer, m *physmem.Image, cpus []physmem.CPU, machine string) {
	tb.Helper()
	const hole, end4G, grain = 3 << 30, 4 << 30, 64 << 10
	low, high := uint64(0), uint64(0)
	for _, r := range m.Ranges() {
		end := (r.End() + grain - 1) / grain * grain
		switch {
		case r.End() <= hole:
			low = max(low, end)
		case r.Start >= end4G:
			high = max(high, end-end4G)
		}
	}
	w := &stream{Writer: bufio.NewWriterSize(out, 1<<20)}
	size := low + high
	w.put([]byte("QEVM"), uint32(3), uint8(7), uint32(len(machine)), []byte(machine))
	w.put(uint8(1), uint32(1), name("ram"), uint32(0), uint32(4))
	w.put(size|4, name("pc.ram"), size, uint64(0x10))
	w.footer(1)
	w.put(uint8(3), uint32(1))
	page := make([]byte, 0x1000)
	for at := uint64(0); at < size; at += 0x1000 {
		pa := at
		if at >= low {
			pa = end4G + at - low
		}
		clear(page)
		_, _ = m.ReadAt(page, int64(pa)) // a page that is missing is zeros
		flags, first := uint64(0x20), []byte(nil)
		if at == 0 {
			flags, first = 0, name("pc.ram")
		}
		if bytes.Count(page, []byte{0}) == len(page) {
			w.put(at|flags|2, first, uint8(0))
			continue
		}
		w.put(at|flags|8, first, page)
	}
	w.put(uint64(0x10))
	w.footer(1)
	clock := make([]byte, 168)
	if low > 16<<20 {
		le.PutUint16(clock[0x34:], uint16((low-16<<20)/grain))
	}
	le.PutUint16(clock[0x30:], uint16(min(low-1<<20, 63<<20)>>10))
	for i := range 3 {
		clock[0x5b+i] = byte(high / grain >> (8 * i))
	}
	w.device("mc146818rtc", 0, 3, clock)
	for i := range cpus {
		w.device("cpu", i, 12, migrationCPU(physmem.X86Of(cpus[i])))
	}
	text := fmt.Sprintf(`{"configuration":{},"page_size":4096,"devices":[%s]}`, strings.Join(w.described, ","))
	w.put(uint8(0), uint8(6), uint32(len(text)), []byte(text))
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
}

// stream is a migration stream while it is written.
type stream struct {
	*bufio.Writer
	described []string
}

// name is a string with its length in front.
func name(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func (w *stream) put(list ...any) {
	for _, v := range list {
		if b, ok := v.([]byte); ok {
			_, _ = w.Write(b) // what fails, Flush says
			continue
		}
		_ = binary.Write(w, be, v) // the same
	}
}

func (w *stream) footer(id uint32) { w.put(uint8(0x7e), id) }

func (w *stream) device(s string, instance, version int, data []byte) {
	id := uint32(10 + len(w.described))
	w.put(uint8(4), id, name(s), uint32(instance), uint32(version), data)
	w.footer(id)
	w.described = append(w.described, fmt.Sprintf(
		`{"name":%q,"instance_id":%d,"vmsd_name":%q,"version":%d,"fields":[{"name":"all","type":"buffer","size":%d}]}`, s, instance, s, version, len(data)))
}

// migrationCPU is the section of a processor, as far as windmp takes something of it.
func migrationCPU(c *physmem.X86) []byte {
	b := make([]byte, 0x719)
	words := func(at int, list ...uint64) {
		for i, v := range list {
			be.PutUint64(b[at+8*i:], v)
		}
	}
	words(0, c.Rax, c.Rcx, c.Rdx, c.Rbx, c.Rsp, c.Rbp, c.Rsi, c.Rdi, c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15, c.Rip, c.Rflags)
	if !c.Is32 {
		be.PutUint32(b[0x90:], 1<<14)
	}
	for i, s := range []physmem.Segment{c.ES, c.CS, c.SS, c.DS, c.FS, c.GS, c.LDT, c.TR, c.GDT, c.IDT} {
		at := 0xec + 20*i
		be.PutUint32(b[at:], uint32(s.Selector))
		be.PutUint64(b[at+4:], s.Base)
		be.PutUint32(b[at+12:], s.Limit)
		be.PutUint32(b[at+16:], s.Flags)
	}
	words(0x1c8, c.CR0, c.CR2, c.CR3, c.CR4)
	if r := c.Debug; r != nil {
		words(0x1e8, r.Dr0, r.Dr1, r.Dr2, r.Dr3, r.Dr6, r.Dr7, r.Dr6, r.Dr7)
	}
	if c.FX != nil {
		be.PutUint16(b[0x94:], le.Uint16(c.FX))
		be.PutUint16(b[0x96:], le.Uint16(c.FX[2:]))
		be.PutUint16(b[0x98:], le.Uint16(c.FX[4:]))
		be.PutUint32(b[0x22c:], le.Uint32(c.FX[24:]))
		for i := range 8 {
			be.PutUint64(b[0x9c+10*i:], le.Uint64(c.FX[32+16*i:]))
			be.PutUint16(b[0xa4+10*i:], le.Uint16(c.FX[40+16*i:]))
		}
		for i := range 16 {
			words(0x230+16*i, le.Uint64(c.FX[160+16*i:]), le.Uint64(c.FX[168+16*i:]))
		}
	}
	if r := c.MSR; r != nil {
		words(0x330, r.EFER, r.STAR, r.LSTAR, r.CSTAR, r.SFMASK, c.KernelGSBase)
		words(0x364, r.PAT)
	}
	return b
}
