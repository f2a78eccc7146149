package guestsim

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync"
)

//go:embed kdbg_fields.txt
var kdbgFieldsText string

// KDBGField is one row of KDDEBUGGER_DATA64's field table: where the field lies
// and what real dumps of the three builds hold there.
type KDBGField struct {
	Offset, Size uint64
	Name         string
	values       [3]fieldValue
}

type fieldValue struct {
	value   uint64
	inImage bool
	present bool
}

// Builds are the builds that the field table has values of, in its order.
var Builds = []uint32{9600, 19041, 26100}

// KDBGFields is the field table, ascending by offset.
var KDBGFields = sync.OnceValue(func() []KDBGField {
	var fields []KDBGField
	for line := range strings.Lines(kdbgFieldsText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		col := strings.Fields(line)
		f := KDBGField{Offset: parseHex(col[0]), Size: parseHex(col[1]), Name: col[2]}
		for i, text := range col[3:6] {
			f.values[i] = parseValue(text)
		}
		fields = append(fields, f)
	}
	return fields
})

func parseHex(s string) uint64 {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		panic(fmt.Sprintf("guestsim: kdbg_fields.txt: %v", err))
	}
	return v
}

func parseValue(s string) fieldValue {
	switch {
	case s == "-":
		return fieldValue{}
	case s == "nt":
		return fieldValue{inImage: true, present: true}
	case strings.HasPrefix(s, "nt+"):
		return fieldValue{value: parseHex(s[3:]), inImage: true, present: true}
	}
	return fieldValue{value: parseHex(s), present: true}
}

// Value is the field's value in a build's block for a kernel at base; ok is
// false where that build's block ends before it.
func (f KDBGField) Value(build uint32, base uint64) (v uint64, ok bool) {
	x := f.values[buildColumn(build)]
	if x.inImage {
		return base + x.value, x.present
	}
	return x.value, x.present
}

func buildColumn(build uint32) int {
	for i, b := range Builds {
		if b == build {
			return i
		}
	}
	panic(fmt.Sprintf("guestsim: no KDBG values of build %d", build))
}

// KDBGBlock is the decoded KDDEBUGGER_DATA64 of a real build, moved to a kernel
// at base.
func KDBGBlock(build uint32, base uint64) []byte {
	size, _ := kdbgField("Size").Value(build, base)
	block := make([]byte, size)
	for _, f := range KDBGFields() {
		if v, ok := f.Value(build, base); ok {
			putField(block, f, v)
		}
	}
	return block
}

func putField(block []byte, f KDBGField, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(block[f.Offset:f.Offset+f.Size], b[:f.Size])
}

func kdbgField(name string) KDBGField {
	for _, f := range KDBGFields() {
		if f.Name == name {
			return f
		}
	}
	panic("guestsim: KDDEBUGGER_DATA64 has no field " + name)
}

// Encode encodes a decoded KDBG as Windows 8 and later keep it when booted
// without a debugger: every qword, the list header included. flagVA is the
// address of nt!KdpDataBlockEncoded, the two keys are nt!KiWaitNever and
// nt!KiWaitAlways. The rule is that of QEMU contrib/elf2dmp and Volatility,
// inverted.
func Encode(decoded []byte, waitNever, waitAlways, flagVA uint64) []byte {
	out := make([]byte, 0, len(decoded))
	for off := 0; off+8 <= len(decoded); off += 8 {
		x := binary.LittleEndian.Uint64(decoded[off:])
		x = bits.ReverseBytes64(x^waitAlways) ^ flagVA
		x = bits.RotateLeft64(x, -int(waitNever&63)) ^ waitNever
		out = binary.LittleEndian.AppendUint64(out, x)
	}
	return out
}
