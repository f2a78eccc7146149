package unwind

import (
	"debug/pe"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
)

// clangSource is what clang builds for Windows on 64-bit Arm, in several ways.
const clangSource = "../../testdata/unwind/arm64.c"

// clangTools are Debian's: the compiler, the linker, and the two readers of images that
// are the witnesses.
var clangTools = []string{"clang-19", "lld-link-19", "llvm-readobj-19", "llvm-objdump-19"}

func requireClang(t *testing.T) {
	t.Helper()
	for _, tool := range clangTools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		const advice = "%s is missing: NOT walking what clang builds for Windows on Arm (Debian: scripts/deps installs it)"
		if os.Getenv("WINDMP_REQUIRE_CLANG") == "1" {
			t.Fatalf(advice, tool)
		}
		t.Skipf(advice, tool)
	}
}

// TestClangARM64: from every instruction of every function that clang built, the unwind
// data leads to the caller with the registers that it had. What the instructions do is
// llvm-objdump's word, where functions and their prologues end llvm-readobj's.
func TestClangARM64(t *testing.T) {
	t.Parallel()
	requireClang(t)
	ways := []string{"-O0", "-O2 -fno-omit-frame-pointer", "-Oz", "-O2 -mbranch-protection=pac-ret+b-key"}
	im := buildClang(t, ways)
	functions := im.functions(t)
	require.Greater(t, len(functions), 12*len(ways))
	for _, f := range functions {
		im.walk(t, f)
	}
	for _, form := range []string{
		"Fragment: No", "RegF: [1-9]", "CR: 1", "EpiloguePacked: Yes", "EpilogueScopes: [2-9]", "ExceptionHandler",
		"; save next", "; pacibsp", "; stp d8", "; add fp, sp", "mov (fp|x29), sp", "0xe0.*; sub sp",
	} {
		assert.True(t, regexp.MustCompile(form).MatchString(im.unwindData), "none has %s", form)
	}
}

// clangImage is an image in memory and what LLVM's tools say of it.
type clangImage struct {
	*memory
	images     *List
	preferred  uint64 // address of what LLVM's tools say
	unwindData string // of llvm-readobj
	code       map[uint64]string
	back       vtop.VA // an address behind a call
}

// buildClang builds the source with the options of each of the ways, and loads the image
// that has them all: it is linked though they define the same, and what clang built is in it
// as often. To start each of LLVM's tools for each of them takes longer than they work.
func buildClang(t *testing.T, ways []string) *clangImage {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "arm64.dll")
	link := []string{"/nologo", "/dll", "/noentry", "/nodefaultlib", "/force:multiple", "/out:" + image}
	run := func(name string, args ...string) string {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		return string(out)
	}
	for i, options := range ways {
		object := filepath.Join(dir, fmt.Sprintf("arm64-%d.o", i))
		run(clangTools[0], append(strings.Fields(options), "--target=aarch64-pc-windows-msvc", "-ffreestanding", "-fno-builtin",
			"-fasynchronous-unwind-tables", "-c", "-o", object, clangSource)...)
		link = append(link, object)
	}
	run(clangTools[1], link...)
	im := loadImage(t, image)
	im.unwindData = run(clangTools[2], "--unwind", image)
	im.code = map[uint64]string{}
	for _, line := range disassembled.FindAllStringSubmatch(run(clangTools[3], "-d", "--no-show-raw-insn", image), -1) {
		at := number(t, line[1], 16)
		im.code[at] = line[2]
		if strings.HasPrefix(line[2], "bl\t") {
			im.back = im.at(at + instruction)
		}
	}
	require.NotZero(t, im.back)
	return im
}

// disassembled is a line of llvm-objdump: an address and an instruction, without what is
// behind it to explain it.
var disassembled = regexp.MustCompile(`(?m)^ *([0-9a-f]+):\s+(.*?)\s*(?://.*|<.*)?$`)

// loadImage puts the parts of an image where its headers say.
func loadImage(t *testing.T, path string) *clangImage {
	t.Helper()
	f, err := pe.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	header, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	require.True(t, ok)
	im := &clangImage{memory: newMemory(), preferred: header.ImageBase}
	im.write(imageBase, make([]byte, header.SizeOfImage))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	im.write(imageBase, file[:header.SizeOfHeaders])
	for _, s := range f.Sections {
		data, err := s.Data()
		require.NoError(t, err)
		im.write(imageBase+vtop.VA(s.VirtualAddress), data[:min(len(data), int(s.VirtualSize))])
	}
	im.write(clangStack.Low, make([]byte, clangStack.High-clangStack.Low))
	im.images = NewList([]*Image{{Base: imageBase, Size: header.SizeOfImage}})
	return im
}

// clangStack has room for the largest frame.
var clangStack = Limits{Low: stackTop - 0x20000, High: stackTop}

// at is where an address of LLVM's tools lies.
func (im *clangImage) at(address uint64) vtop.VA { return imageBase + vtop.VA(address-im.preferred) }

// clangFunction is what llvm-readobj says of a function.
type clangFunction struct {
	begin, end uint64
	prologue   int // instructions
}

var (
	functionText = regexp.MustCompile(`(?s)Function: 0x([0-9A-F]+)\n.*?FunctionLength: (\d+)\n.*?Prologue \[\n(.*?)\n *\]`)
	prologueEnd  = regexp.MustCompile(`(?m)^ *(?:0xe4 *; )?end$`)
)

func (im *clangImage) functions(t *testing.T) (list []clangFunction) {
	t.Helper()
	for _, m := range functionText.FindAllStringSubmatch(im.unwindData, -1) {
		begin := number(t, m[1], 16)
		codes := prologueEnd.ReplaceAllString(m[3], "")
		list = append(list, clangFunction{begin, begin + number(t, m[2], 10), strings.Count(codes, "\n")})
	}
	return list
}

func number(t *testing.T, text string, base int) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(text, base, 64)
	require.NoError(t, err)
	return v
}

// walk steps from each instruction of a function to its caller.
func (im *clangImage) walk(t *testing.T, f clangFunction) {
	t.Helper()
	begin, end, ok := ARM64.Function(im.space(), im.images, im.at(f.begin))
	require.True(t, ok)
	require.Equal(t, [2]vtop.VA{im.at(f.begin), im.at(f.end)}, [2]vtop.VA{begin, end})
	sim := newSimARM64(im.memory, im.back, stackTop-0x1000)
	before, body := sim.r, sim.r
	for address := f.begin; address < f.end; address += instruction {
		if address == f.begin+instruction*uint64(f.prologue) {
			sim.do(do("body"))
			body = sim.r
		}
		text := im.code[address]
		require.NotEmpty(t, text)
		name := fmt.Sprintf("%#x in %#x: %s", address, f.begin, text)
		step, err := ARM64.Step(im.space(), im.images, sim.frame(im.at(address)), clangStack)
		require.NoError(t, err, name)
		requireCaller(t, step, before, name)
		sim.run(t, text)
		if leavesARM64(text) { // what is behind it is reached from elsewhere in the function
			sim.r = body
		}
	}
}

// leavesARM64 reports whether the instruction behind another one does not follow it.
func leavesARM64(text string) bool {
	name, _, _ := strings.Cut(text, "\t")
	return slices.Contains([]string{"ret", "b", "br", "brk", "retab"}, name)
}

// run carries out an instruction, as far as a caller may depend on it: what changes sp,
// x29 and x30, and saves registers or gives them back. Others only spoil where they
// write to.
func (s *simARM64) run(t *testing.T, text string) {
	t.Helper()
	name, operands, _ := strings.Cut(text, "\t")
	switch name {
	case "stp", "str":
		s.access(t, "store", operands)
	case "ldp", "ldr":
		s.access(t, "load", operands)
	case "pacibsp":
		s.do(do("sign"))
	case "autibsp":
		s.do(do("check"))
	case "bl", "blr":
		s.r[30] = 0xbad
	case "add", "sub", "mov":
		s.arithmetic(t, name, strings.Split(operands, ", "))
	default:
		if m := destination.FindStringSubmatch(operands); m != nil && !strings.HasPrefix(name, "st") {
			s.r[number(t, m[1], 10)] = 0xbad
		}
	}
}

var (
	destination = regexp.MustCompile(`^[xw](\d+),`)
	onStack     = regexp.MustCompile(`^([xd])(\w+)(?:, ([xd])(\w+))?, \[sp(?:, #(-?\w+))?\](!|, #(\w+))?$`)
	ofTheStack  = regexp.MustCompile(`^[xd].*\[sp.*$`)
)

// access is a load or a store of whole registers on the stack; others matter to nobody.
func (s *simARM64) access(t *testing.T, kind, operands string) {
	t.Helper()
	m := onStack.FindStringSubmatch(operands)
	if m == nil {
		require.NotRegexp(t, ofTheStack, operands, "it is understood")
		require.NotRegexp(t, `\[.*(\]!|\], )`, operands, "it changes an address")
		if loaded := destination.FindStringSubmatch(operands); loaded != nil && kind == "load" {
			s.r[number(t, loaded[1], 10)] = 0xbad
		}
		return
	}
	i := armDo{kind: kind, a: register(t, m[1], m[2]), b: register(t, m[3], m[4]), x: m[6] != ""}
	offset := m[5] + m[7] // one of them
	if i.x && kind == "store" {
		offset = strings.TrimPrefix(offset, "-")
	}
	if offset != "" {
		n, err := strconv.ParseUint(offset, 0, 64)
		require.NoError(t, err)
		i.n = n
	}
	s.do(i)
}

// register is the number of a register, 0 for none and for xzr, 32 for one of
// floating point.
func register(t *testing.T, kind, name string) int {
	t.Helper()
	switch {
	case kind == "d":
		return 32
	case kind == "" || name == "zr":
		return 0
	}
	return int(number(t, name, 10))
}

// arithmetic is an addition, a subtraction or a move.
func (s *simARM64) arithmetic(t *testing.T, name string, operands []string) {
	t.Helper()
	to, last := operands[0], s.value(operands[len(operands)-1])
	switch {
	case len(operands) == 4: // a shift is last
		shift := strings.TrimPrefix(operands[3], "lsl #")
		n, err := strconv.Atoi(shift)
		if err != nil {
			break
		}
		last = s.value(operands[2]) << n
	case to == "sp" && name == "mov" && operands[1] != "x29":
		s.do(do("sub", 0x100)) // room of a size that the code computes
		return
	}
	from := operands[1]
	switch {
	case to == "sp" && from == "sp":
		s.do(do(name, last))
	case to == "sp" && from == "x29" && name == "mov":
		s.do(do("unframe"))
	case to == "sp" && from == "x29":
		require.Equal(t, "sub", name)
		s.do(do("unframe", last))
	case to == "x29" && from == "sp" && name == "mov":
		s.do(do("frame"))
	case to == "x29" && from == "sp":
		require.Equal(t, "add", name)
		s.do(do("frame", last))
	case name == "mov" && strings.HasPrefix(from, "#"):
		s.r[number(t, to[1:], 10)] = last
	default:
		require.NotEqual(t, "sp", to)
		s.r[number(t, to[1:], 10)] = 0xbad
	}
}

// value is that of an operand: a number, or what a register holds.
func (s *simARM64) value(operand string) uint64 {
	if text, ok := strings.CutPrefix(operand, "#"); ok {
		v, _ := strconv.ParseInt(text, 0, 64)
		return uint64(v)
	}
	n, err := strconv.Atoi(strings.TrimLeft(operand, "xw"))
	if err != nil || n > 30 {
		return 0
	}
	return s.r[n]
}
