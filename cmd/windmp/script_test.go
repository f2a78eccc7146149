package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"windmp/internal/coretest"
	"windmp/internal/guestsim"
	"windmp/physmem/physmemtest"
)

func TestMain(m *testing.M) {
	testscript.Main(withSessions{m}, map[string]func(){"windmp": main, sessionName: serveSession})
}

// TestScript runs the scripts in testdata/script, one behaviour a file. What code begins
// is windmp in a session, and what terminal begins too; exec gives it a process of its own.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"mkguest":  mkguest,
			"code":     exitCodeIs,
			"terminal": exitCodeOnTerminal,
			"onejson":  oneJSON,
			"lines":    jsonLines,
			"poke":     poke,
			"poke32":   poke32,
			"shorten":  shorten,
			"mode":     fileMode,
			"sha256":   saysSHA256,
		},
		Setup: func(env *testscript.Env) error {
			samples, err := samplesDir()
			env.Setenv("SAMPLES", samples)
			return err
		},
	})
}

func samplesDir() (string, error) {
	wd, err := os.Getwd()
	return wd + "/../../testdata", err
}

// mkguest FILE [word...] writes a synthetic guest's vmcore, mode 0400 as QEMU
// makes it, or with raw its memory and nothing else. Words: cpus=N crashed
// encoded paging nonote user linux evil raw. With vmware FILE is the state as VMware
// keeps it, and the memory is beside it in a .vmem.
func mkguest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: mkguest FILE [word...]")
	}
	var opt guestsim.Options
	linux, raw, vmware := false, false, false
	for _, word := range args[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "cpus":
			n, err := strconv.Atoi(value)
			ts.Check(err)
			opt.CPUs = n
		case "crashed":
			opt.BugCheck = [5]uint64{0x7e, 0xffffffffc0000005, 1, 2, 3}
		case "encoded":
			opt.Encoded = true
		case "paging":
			opt.File.Paging = true
		case "nonote":
			opt.File.NoGuestNote = true
		case "evil":
			opt.Modules = []guestsim.Module{{Base: 0xfffff80416000000, Size: 0x1000, Name: "evil\x1b[31m.sys", FullName: "\r\nevil"}}
		case "linux":
			linux = true
		case "raw":
			raw = true
		case "vmware":
			vmware = true
		default:
			ts.Fatalf("mkguest: unknown word %s", word)
		}
	}
	g := guestsim.New(opt)
	if linux {
		copy(g.Header(), "OSRELEASE=6.1.0-13-amd64\nPAGESIZE=4096\n")
	}
	file := g.ELF()
	if raw {
		file = nil
		for _, b := range g.RAM() {
			file = append(file, g.ReadPhys(b.Start, int(b.Size))...)
		}
	}
	if vmware {
		file = mkVMware(ts, file, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), file, 0o400))
}

// mkVMware writes the memory of a core as VMware would, and returns the state.
func mkVMware(ts *testscript.TestScript, core []byte, name string) []byte {
	m, err := physmemtest.Open(core)
	ts.Check(err)
	regions := m.Ranges()
	for i := range regions {
		regions[i].Size = (regions[i].Size + 0xfff) &^ 0xfff
	}
	state, memory, err := coretest.VMware{Regions: regions}.Files(m, m.CPUs())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(strings.TrimSuffix(name, path.Ext(name))+".vmem"), memory, 0o400))
	return state
}

// exitCodeIs N COMMAND... runs a command and checks its exit code; stdout and
// stderr are left for the next lines to look at.
func exitCodeIs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	got := exitCode(ts, args[1], args[2:])
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// exitCode runs a command, windmp in a session.
func exitCode(ts *testscript.TestScript, name string, args []string) int {
	if name == "windmp" {
		return runForScript(ts, scriptRun(ts, args))
	}
	err := ts.Exec(name, args...)
	if e, ok := err.(interface{ ExitCode() int }); ok {
		return e.ExitCode()
	}
	ts.Check(err)
	return 0
}

// exitCodeOnTerminal N all|errors ARG... runs windmp, of which all or the errors go to a
// terminal, and checks its exit code.
func exitCodeOnTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal N all|errors ARG...")
	}
	r := scriptRun(ts, args[2:])
	r.Streams, r.Columns = sessionStreams(args[1]), 80
	if got := runForScript(ts, r); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// oneJSON FILE SCHEMA checks that FILE ("stdout" for the last command's) is
// exactly one JSON document of that schema.
func oneJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: onejson FILE SCHEMA")
	}
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var doc struct{ Schema string }
	ts.Check(dec.Decode(&doc))
	if doc.Schema != args[1] {
		ts.Fatalf("schema %q, want %q", doc.Schema, args[1])
	}
	if dec.More() {
		ts.Fatalf("more than one document")
	}
	ts.Check(validate(schemaDir, []byte(ts.ReadFile(args[0]))))
}

// jsonLines FILE checks that FILE ("stderr" for the last command's) is lines of
// JSON, each of the schema that it names, and that there are some.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lines FILE")
	}
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		n++
		if err := validate(schemaDir, []byte(line)); err != nil {
			ts.Fatalf("%s%v", line, err)
		}
	}
	if n == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

// poke32 FILE OFFSET VALUE overwrites a little-endian number.
func poke32(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: poke32 FILE OFFSET VALUE")
	}
	v, err := strconv.ParseUint(args[2], 0, 32)
	ts.Check(err)
	poke(ts, false, []string{args[0], args[1], string(binary.LittleEndian.AppendUint32(nil, uint32(v)))})
}

// shorten FILE N cuts N bytes off the end.
func shorten(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: shorten FILE N")
	}
	n, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	st, err := os.Stat(name)
	ts.Check(err)
	ts.Check(os.Truncate(name, st.Size()-n))
}

// poke FILE OFFSET TEXT overwrites bytes.
func poke(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: poke FILE OFFSET TEXT")
	}
	off, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	ts.Check(os.Chmod(name, 0o600))
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte(args[2]), off)
	ts.Check(err)
	ts.Check(f.Close())
}

// fileMode FILE MODE checks a file's permission bits, in octal.
func fileMode(ts *testscript.TestScript, neg bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(st.Mode().Perm()), 8); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

// saysSHA256 checks that standard output has the digest of a file: sha256 FILE.
func saysSHA256(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sha256 FILE")
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(ts.ReadFile(args[0]))))
	if !strings.Contains(ts.ReadFile("stdout"), sum) {
		ts.Fatalf("standard output does not say %s", sum)
	}
}
