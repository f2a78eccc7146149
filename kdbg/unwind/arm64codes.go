package unwind

import "fmt"

// Unwind codes of 64-bit Arm (Microsoft, "ARM64 exception handling"; save_any_reg and the
// lengths of reserved codes are from dotnet/runtime,
// src/coreclr/unwinder/arm64/unwinder.cpp, which Microsoft published).
type operationARM64 int

const (
	nothingARM64   operationARM64 = iota // changes no register that is asked for, but for sp by up
	restoreARM64                         // loads count registers from register on, at sp+offset
	setFrameARM64                        // sp = x29 - offset
	saveNextARM64                        // one pair more with the next restore
	chainedARM64                         // end_c: what follows is the prologue of the function's main part
	endARM64                             // the caller is at lr
	trapFrameARM64                       // a KTRAP_FRAME is at sp; from here on codes stand for no instruction
	machineARM64                         // sp and pc are at sp
	contextARM64                         // a CONTEXT is at sp
	clearARM64                           // lr is an instruction that was about to run
)

// codeARM64 is an unwind code.
type codeARM64 struct {
	op operationARM64
	// register is the first of count; they lie one behind another. second is the
	// register behind a single one, 0 for none.
	register, count, second int
	float                   bool // they are floating-point registers
	offset                  uint64
	up                      uint64 // what is added to sp behind it, bytes
}

// instructions is how many a code stands for.
func (c codeARM64) instructions() uint32 {
	if c.op == chainedARM64 || c.op == endARM64 || c.op >= trapFrameARM64 {
		return 0
	}
	return 1
}

// integer and float are a save of registers at sp+offset; up is what sp was moved by with it.
func integer(register, count int, offset, up uint64) codeARM64 {
	return codeARM64{op: restoreARM64, register: register, count: count, offset: offset, up: up}
}

func float(count int, up uint64) codeARM64 {
	return codeARM64{op: restoreARM64, count: count, float: true, up: up}
}

func allocation(n uint64) codeARM64 { return codeARM64{op: nothingARM64, up: n} }

// firstSaved is the first register that functions save.
const firstSaved = 19

// lengthARM64 is the length of a code in bytes, by its first byte.
func lengthARM64(first byte) int {
	switch {
	case first < 0xc0:
		return 1
	case first < 0xe0, first == 0xe2, first == 0xf8:
		return 2
	case first == 0xe7, first == 0xf9:
		return 3
	case first == 0xe0, first == 0xfa:
		return 4
	case first == 0xfb:
		return 5
	}
	return 1
}

// sequence decodes codes from an index up to the one that ends them.
func sequence(b []byte, index uint32) ([]codeARM64, error) {
	if uint64(index) >= uint64(len(b)) {
		return nil, fmt.Errorf("unwind code %d of %d", index, len(b))
	}
	var codes []codeARM64
	for b = b[index:]; len(b) > 0; {
		n := lengthARM64(b[0])
		if n > len(b) {
			return nil, fmt.Errorf("unwind code %#x is cut", b[0])
		}
		c, ok := decodeARM64(b[:n])
		if !ok {
			return nil, fmt.Errorf("unwind code %#x", b[:n])
		}
		codes = append(codes, c)
		if c.op == endARM64 {
			return codes, nil
		}
		b = b[n:]
	}
	return nil, fmt.Errorf("unwind codes without an end")
}

// decodeARM64 decodes one code; false for what is none.
func decodeARM64(b []byte) (codeARM64, bool) {
	switch {
	case b[0] < 0x20: // alloc_s
		return allocation(uint64(b[0]) * 16), true
	case b[0] < 0x40: // save_r19r20_x
		return integer(firstSaved, 2, 0, uint64(b[0]&31)*8), true
	case b[0] < 0x80: // save_fplr
		return integer(fpARM64, 2, uint64(b[0]&63)*8, 0), true
	case b[0] < 0xc0: // save_fplr_x
		return integer(fpARM64, 2, 0, uint64(b[0]&63)*8+8), true
	case b[0] < 0xe0:
		return decodeTwo(b[0], b[1])
	case b[0] < 0xe8:
		return decodeMore(b)
	}
	return decodeSpecial(b[0])
}

// decodeTwo decodes a code of two bytes.
func decodeTwo(first, second byte) (codeARM64, bool) {
	v := uint64(first)<<8 | uint64(second)
	at, up := v&63*8, v&63*8+8
	x, short := int(v>>6&15), int(v>>5&15)
	switch {
	case first < 0xc8: // alloc_m
		return allocation(v & 0x7ff * 16), true
	case first < 0xcc: // save_regp
		return checked(integer(firstSaved+x, 2, at, 0))
	case first < 0xd0: // save_regp_x
		return checked(integer(firstSaved+x, 2, 0, up))
	case first < 0xd4: // save_reg
		return checked(integer(firstSaved+x, 1, at, 0))
	case first < 0xd6: // save_reg_x
		return checked(integer(firstSaved+short, 1, 0, v&31*8+8))
	case first < 0xd8: // save_lrpair
		c := integer(firstSaved+2*(x&7), 1, at, 0)
		c.second = lrARM64
		return checked(c)
	case first < 0xda: // save_fregp
		return float(2, 0), true
	case first < 0xdc: // save_fregp_x
		return float(2, up), true
	case first < 0xde: // save_freg
		return float(1, 0), true
	case first == 0xde: // save_freg_x
		return float(1, v&31*8+8), true
	}
	return codeARM64{}, false
}

// checked refuses registers that are none.
func checked(c codeARM64) (codeARM64, bool) { return c, c.register+c.count-1 <= lrARM64 }

// decodeMore decodes the codes from 0xe0 to 0xe7.
func decodeMore(b []byte) (codeARM64, bool) {
	switch b[0] {
	case 0xe0: // alloc_l
		return allocation((uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])) * 16), true
	case 0xe1: // set_fp
		return codeARM64{op: setFrameARM64}, true
	case 0xe2: // add_fp
		return codeARM64{op: setFrameARM64, offset: uint64(b[1]) * 8}, true
	case 0xe3: // nop
		return codeARM64{}, true
	case 0xe4:
		return codeARM64{op: endARM64}, true
	case 0xe5:
		return codeARM64{op: chainedARM64}, true
	case 0xe6:
		return codeARM64{op: saveNextARM64}, true
	}
	return decodeAny(b[1], b[2])
}

// decodeAny decodes save_any_reg: 0pxrrrrr ffoooooo, a pair, with writeback, register, of
// general, D or Q registers, offset.
func decodeAny(first, second byte) (codeARM64, bool) {
	pair, back, kind := int(first>>6&1), first>>5&1, second>>6
	if first>>7 != 0 || kind == 3 {
		return codeARM64{}, false
	}
	scale := uint64(8)
	if pair == 1 || back == 1 || kind == 2 {
		scale = 16
	}
	c := integer(int(first&31), 1+pair, uint64(second&63)*scale, 0)
	c.float = kind != 0
	if back == 1 {
		c.offset, c.up = 0, c.offset+scale
	}
	if c.float {
		return c, true
	}
	return checked(c)
}

// decodeSpecial decodes the codes from 0xe8 on: the frames that only Windows' own
// assembler code has, pac_sign_lr, and what is reserved as without effect.
func decodeSpecial(first byte) (codeARM64, bool) {
	switch first {
	case 0xe8:
		return codeARM64{op: trapFrameARM64}, true
	case 0xe9:
		return codeARM64{op: machineARM64}, true
	case 0xea:
		return codeARM64{op: contextARM64}, true
	case 0xec:
		return codeARM64{op: clearARM64}, true
	}
	return codeARM64{}, first >= 0xf8
}
