package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// descriptions are the files that describe machines: in them alone stands which
// machine it is. A further machine adds files of its own here.
var descriptions = []string{
	"convert/machine/arm64*.go", "convert/machine/x*.go",
	"internal/elfcore/elfcore.go", // QEMU's note of an x86 processor
	"kdbg/arm64.go", "kdbg/specials/*.go", "kdbg/x*.go", "kdbg/unwind/arm64*.go", "kdbg/unwind/x*.go",
	"physmem/arm64.go", "physmem/migration/internal/vcpu/*.go", "physmem/vmcore/arm64_*.go", "vtop/arm64.go", "winhdr/arm64.go",
	"physmem/hyperv/x86_*.go", "physmem/vmcore/x86_*.go", "physmem/vmware/x86.go", "physmem/x86.go", "physmem/xen/x86_*.go",
	"vtop/lowstub.go", "vtop/x86.go",
	"winhdr/wincontext/context[0-9a]*.go", "winhdr/wincontext/flags.go", "winhdr/wincontext/plausible*.go", "winhdr/x*.go",
}

// forTests are the folders that make what is tested: they state the machines a
// second time, on purpose.
var forTests = []string{
	"internal/coretest", "internal/elfbuild", "internal/guestsim", "internal/qemutest", "internal/webtest",
	"physmem/internal/fixture", "physmem/physmemtest",
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// Nobody but the descriptions of the machines asks which machine it is.
func TestNobodyAsksForTheMachine(t *testing.T) {
	all := files(t)
	for _, f := range all {
		if matches(descriptions, f.path) || slices.Contains(forTests, f.dir) || strings.HasPrefix(f.dir, "scripts/") {
			continue
		}
		for _, q := range questions(f.syntax) {
			t.Errorf("%s:%d: %s", f.path, positions.Position(q.at).Line, q.what)
		}
	}
	for _, p := range descriptions {
		assert.True(t, slices.ContainsFunc(all, func(f file) bool { return matches([]string{p}, f.path) }), "no file is %s", p)
	}
}

// question is a place that asks for the machine.
type question struct {
	at   token.Pos
	what string
}

var (
	// machines are the names of values and constants that are one machine's.
	machines = regexp.MustCompile(`^(X64|X86|ARM64|PAE|LA57|Machine(X64|X86|AMD64|I386|ARM64)|(X86|ARM64)Of|EM_(X86_64|386|AARCH64))$`)
	// types are those of one machine.
	types = regexp.MustCompile(`^(Context(32|64|ARM64)|(X86|ARM64)Values|FlagsARM64)$`)
	// registers are the names of an architecture's registers, as fields or methods.
	registers = regexp.MustCompile(`^(Is32|Is64|[CcDd][Rr][0-8]|[ER](ip|sp|bp|ax|bx|cx|dx|si|di|flags)|EFlags|R(8|9|1[0-5])|[CDEFGS]S|Seg[CDEFGS]s|` +
		`Kernel[GF]S(Base)?|HasKernelGSBase|[GF][Ss]Base|GsSwap|MxCsr|[LC]?STAR|[LC]?Star|Gdtr|Idtr|LA57|PAE|X1?[0-9]|X2[0-9]|X30|TTBR[01]|Pc|Lr)$`)
	// names are those of machines, as reports have them.
	names = regexp.MustCompile(`^(?i)(x64|x86|amd64|x86_64|i386|arm64|aarch64|[er]ip|[er]sp|[er]flags|cr[0-8]|efer|x18|ttbr[01])$`)
)

var comparisons = map[token.Token]bool{
	token.EQL: true, token.NEQ: true, token.LSS: true, token.LEQ: true, token.GTR: true, token.GEQ: true,
}

// questions finds what asks for the machine in a file: its width, the number of its
// levels, its registers, its identity.
func questions(f *ast.File) []question {
	var out []question
	say := func(n ast.Node, format string, args ...any) {
		out = append(out, question{n.Pos(), fmt.Sprintf(format, args...)})
	}
	lists, packages := listed(f), imported(f)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			return !lists[n]
		case *ast.SelectorExpr:
			switch {
			case machines.MatchString(n.Sel.Name) && isPackage(n.X, packages):
				say(n, "%s is one machine: ask the description", n.Sel.Name)
			case registers.MatchString(n.Sel.Name):
				say(n, "%s is a register of one machine: ask the description", n.Sel.Name)
			}
		case *ast.Field:
			n.Tag = nil // of JSON
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && names.MatchString(s) {
				say(n, "%s is the name of one machine, or of its register: ask the description", n.Value)
			}
		case *ast.TypeAssertExpr:
			if n.Type != nil && types.MatchString(typeName(n.Type)) {
				say(n, "%s is of one machine: a method of the interface answers for all", typeName(n.Type))
			}
		case *ast.TypeSwitchStmt:
			for _, e := range cases(n.Body) {
				if types.MatchString(typeName(e)) {
					say(e, "%s is of one machine: a method of the interface answers for all", typeName(e))
				}
			}
		case *ast.SwitchStmt:
			for _, e := range cases(n.Body) {
				if what := compared(n.Tag, token.EQL, e); what != "" {
					say(e, "%s", what)
				}
			}
		case *ast.BinaryExpr:
			if what := compared(n.X, n.Op, n.Y); comparisons[n.Op] && what != "" {
				say(n, "%s", what)
			}
		}
		return true
	})
	return out
}

// listed are the lists of a file: what names all machines, each as one entry, to be
// gone through. They stand in a variable of the package, or are all that a function
// returns.
func listed(f *ast.File) map[ast.Node]bool {
	out := map[ast.Node]bool{}
	add := func(e ast.Expr) {
		if c, ok := e.(*ast.CompositeLit); ok {
			switch c.Type.(type) {
			case *ast.ArrayType, *ast.MapType:
				out[c] = true
			}
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					for _, e := range v.Values {
						add(e)
					}
				}
			}
		case *ast.FuncDecl:
			if d.Body != nil && len(d.Body.List) == 1 {
				if r, ok := d.Body.List[0].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
					add(r.Results[0])
				}
			}
		}
	}
	return out
}

// imported are the names that packages have in a file: those of this module, and those
// that number the machines.
func imported(f *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil || !strings.HasPrefix(name, "windmp/") && !strings.HasPrefix(name, "debug/") {
			continue
		}
		if name = path.Base(name); i.Name != nil {
			name = i.Name.Name
		}
		out[name] = true
	}
	return out
}

// isPackage tells whether an expression is the name of a package.
func isPackage(e ast.Expr, packages map[string]bool) bool {
	id, ok := e.(*ast.Ident)
	return ok && packages[id.Name]
}

// cases are the expressions of a switch's cases.
func cases(b *ast.BlockStmt) (out []ast.Expr) {
	for _, s := range b.List {
		if c, ok := s.(*ast.CaseClause); ok {
			out = append(out, c.List...)
		}
	}
	return out
}

// typeName is the name of a type without its package and pointers.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// compared says what a comparison asks that it must not, "" for nothing. a may be
// nil. More than the widest is no question but a check.
func compared(a ast.Expr, op token.Token, b ast.Expr) string {
	for _, e := range []ast.Expr{a, b} {
		if id, ok := e.(*ast.Ident); ok && machines.MatchString(id.Name) {
			return id.Name + " is one machine: ask the description"
		}
	}
	for _, pair := range [][2]ast.Expr{{a, b}, {b, a}} {
		if width(pair[0]) && number(pair[1]) && !(op == token.GTR && number(b, "8", "64")) && !(op == token.LSS && number(b, "1")) {
			return "asks for the width of the machine: ask the description"
		}
		if levels(pair[0]) && number(pair[1], "2", "3", "4", "5") {
			return "asks for the number of levels: ask the mode"
		}
	}
	return ""
}

// width tells whether an expression is the size of a machine's pointers, or made of it and
// of numbers.
func width(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return width(e.X)
	case *ast.BinaryExpr:
		return width(e.X) && number(e.Y) || number(e.X) && width(e.Y)
	case *ast.CallExpr:
		return len(e.Args) == 0 && width(e.Fun) || len(e.Args) == 1 && width(e.Args[0])
	}
	return e != nil && slices.Contains([]string{"PointerSize", "Width", "Digits"}, typeName(e))
}

// levels tells whether an expression is a number of levels of page tables.
func levels(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && typeName(call.Fun) == "len" && len(call.Args) == 1 && typeName(call.Args[0]) == "Levels"
}

// number tells whether an expression is one of these literals, or any where none is named.
func number(e ast.Expr, list ...string) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.INT && (len(list) == 0 || slices.Contains(list, lit.Value))
}

// What is asked is found, and what is no question is not.
func TestQuestions(t *testing.T) {
	head := "package p\n"
	for _, name := range []string{"windmp/convert/machine", "windmp/kdbg", "windmp/kdbg/specials", "windmp/physmem", "windmp/vtop", "windmp/winhdr", "windmp/winhdr/wincontext", "debug/elf"} {
		head += fmt.Sprintf("import %q\n", name)
	}
	head += "import hdr \"windmp/winhdr\"\n"
	for _, tc := range []struct {
		code string
		want bool
	}{
		{"if m == machine.X86 { f() }", true},
		{"if m == X86 { f() }", true},
		{"if kdbg.X64 != k { f() }", true},
		{"use(winhdr.X64)", true},
		{"if slices.Contains([]*vtop.Mode{vtop.PAE}, m) { f() }", true},
		{"switch m.Name { case `x86`: f() }", true},
		{"switch m.Name() { case \"x64\": f() }", true},
		{"switch { case m.Name() == \"x86\": f() }", true},
		{"switch m { case machine.X86: f() }", true},
		{"switch m { case X64, other: f() }", true},
		{"switch c.(type) { case *wincontext.Context64: f() }", true},
		{"switch c := c.(type) { case nil, *Context32: f(c) }", true},
		{"if _, ok := c.(*wincontext.Context32); ok { f() }", true},
		{"if _, ok := s.(*specials.X86Values); ok { f() }", true},
		{"if c.Is32 { f() }", true},
		{"f(c.CR3)", true},
		{"f(cpus[0].GS.Base)", true},
		{"f(ctx.Rip)", true},
		{"if k.PointerSize == 4 { f() }", true},
		{"if 8 > g.Machine().Kernel.PointerSize { f() }", true},
		{"switch k.PointerSize { case 8: f() }", true},
		{"if len(mode.Levels) == 5 { f() }", true},
		{"switch len(m.Levels) { case 2: f() }", true},
		{"if h.MachineImageType == wincontext.MachineARM64 { f() }", true},
		{"use(hdr.X86)", true},
		{"if g.machine.PAE != nil { f() }", true},
		{"if physmem.X86Of(c) != nil { f() }", true},
		{"if m == elf.EM_386 { f() }", true},
		{"f(table[`x86`])", true},
		{"if strings.HasPrefix(m.Name(), \"arm64\") { f() }", true},
		{"f(register(\"Cr3\"))", true},
		{"if s.PointerSize() == 4 { f() }", true},
		{"if 8*l.PointerSize == 64 { f() }", true},
		{"if uint64(l.PointerSize) < 6 { f() }", true},
		{"if m.Digits() == 8 { f() }", true},
		{"if (l.PointerSize) != 4 { f() }", true},
		{"if len(g.Mode().Levels) > 3 { f() }", true},

		{"f(m.Name(), m.Kernel.PointerSize, len(mode.Levels), c.IP())", false},
		{"if m == g.Machine() { f() }", false},
		{"if m.Core.Machine == elf.EM_NONE { f() }", false},
		{"type t struct { IP uint64 `json:\"rip\"` }", false},
		{"f(24 << l.PointerSize)", false},
		{"if f.PointerSize < 1 || f.PointerSize > 8 { f() }", false},
		{"switch e.Name { case `nt`: f() }", false},
		{"for i := range len(m.Levels) - 1 { f(i) }", false},
		{"if i == len(m.Levels)-1 { f() }", false},
	} {
		f, err := parser.ParseFile(positions, "", head+"func _() {\n"+tc.code+"\n}", parser.SkipObjectResolution)
		require.NoError(t, err, tc.code)
		assert.Equal(t, tc.want, len(questions(f)) > 0, tc.code)
	}
	for _, list := range []string{
		"var all = []*Machine{X64, X86}",
		"var all = []kind{{machine: physmem.MachineX86, format: winhdr.X86}}",
		"func All() []*Machine { return []*Machine{machine.X64, machine.X86} }",
	} {
		f, err := parser.ParseFile(positions, "", head+list, parser.SkipObjectResolution)
		require.NoError(t, err)
		assert.Empty(t, questions(f), list)
	}
}
