package rules

import (
	"go/ast"
	"go/parser"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kinds are the values that name a kind of container or of output, with the files that may
// ask which it is: those that choose between the kinds, and those for which one of them is
// no kind like the others. All else takes what it needs of a kind from its opener, its
// memory or its layout.
var kinds = map[*regexp.Regexp][]string{
	regexp.MustCompile(`^physmem\.Format[A-Z]`): {
		"physmem/open/beginning.go", "physmem/open/open.go", "physmem/open/options.go", // raw memory has no signature
		"cmd/windmp/internal/sourceflag/input.go", "internal/pack/contents.go", "internal/pack/inplace.go", // and so is believed to be anything
		"convert/inspect/check.go", // a Windows dump is not converted
		"convert/replace.go",       // what an output may replace
	},
	regexp.MustCompile(`^(plan\.)?(Format(ELF|DMP)|Output[A-Z][a-z]+)$`): {
		"convert/plan/*.go", "convert/replace.go", "convert/folder/options.go", "cmd/windmp/convert.go",
		"convert/convert.go", // no debugger has to open an ELF core, and the digest of a small dump costs nothing
	},
}

// Which container memory came from, and what it goes into, is known where it is opened and
// laid out.
func TestNobodyAsksForTheKind(t *testing.T) {
	t.Parallel()
	all := files(t)
	for kind, may := range kinds {
		asked := map[string]bool{}
		for _, f := range all {
			for _, at := range asks(f.syntax, kind) {
				if asked[f.path] = true; !matches(may, f.path) {
					t.Errorf("%s: asks which kind it is (%s)", positions.Position(at.Pos()), kind)
				}
			}
		}
		for _, p := range may {
			assert.True(t, slices.ContainsFunc(all, func(f file) bool { return asked[f.path] && matches([]string{p}, f.path) }), "%s asks nothing", p)
		}
	}
}

// asks are the comparisons of a file with a kind.
func asks(f *ast.File, kind *regexp.Regexp) (out []ast.Node) {
	compared := func(list ...ast.Expr) {
		for _, e := range list {
			if kind.MatchString(qualified(e)) {
				out = append(out, e)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if comparisons[n.Op] {
				compared(n.X, n.Y)
			}
		case *ast.SwitchStmt:
			compared(cases(n.Body)...)
		case *ast.IndexExpr:
			compared(n.Index)
		}
		return true
	})
	return out
}

// qualified is a name with its package, that of a conversion's argument included; empty for
// other expressions.
func qualified(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if id, ok := e.X.(*ast.Ident); ok {
			return id.Name + "." + e.Sel.Name
		}
	case *ast.CallExpr:
		if len(e.Args) == 1 {
			return qualified(e.Args[0])
		}
	}
	return ""
}

// A finding's severity is that of the table: nobody makes a finding by hand, or changes
// what the table says of it.
func TestFindingsAreMadeByTheTable(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.dir == "convert/finding" {
			continue
		}
		for _, at := range madeByHand(f.syntax) {
			t.Errorf("%s: a finding is made by Kind.At, which knows its ID and severity", positions.Position(at.Pos()))
		}
	}
}

// madeByHand are the places of a file where a finding gets its ID or its severity, or an ID
// is written out.
func madeByHand(f *ast.File) (out []ast.Node) {
	set := func(n ast.Node, name string) {
		if name == "Severity" {
			out = append(out, n)
		}
	}
	id := regexp.MustCompile("^[\"`]WD[0-9]{3}[\"`]$")
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				set(n, typeName(e))
			}
		case *ast.CompositeLit:
			if qualified(n.Type) != "finding.Finding" {
				return true
			}
			for _, e := range n.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok || typeName(kv.Key) != "Message" { // which alone is no finding
					out = append(out, e)
				}
			}
		case *ast.BasicLit:
			if id.MatchString(n.Value) {
				out = append(out, n)
			}
		}
		return true
	})
	return out
}

// What these rules are for is found.
func TestKindsAreFound(t *testing.T) {
	t.Parallel()
	format := regexp.MustCompile(`^physmem\.Format[A-Z]`)
	for code, want := range map[string]int{
		"if im.Format() == physmem.FormatKdump { f() }":                                1,
		"switch im.Format() { case physmem.FormatELF, physmem.FormatXen: f() }":        2,
		"f(table[physmem.FormatELF])":                                                  1,
		"if f.to == string(physmem.FormatELF) { f() }":                                 1,
		"f(physmem.FormatELF)":                                                         0,
		"if im.Format() == other { f() }":                                              0,
		"x := finding.Finding{ID: \"a\"}":                                              1,
		"x := &finding.Finding{Severity: finding.SeverityWarn}":                        1,
		"x := finding.Finding{Message: \"a\"}":                                         0,
		"x.Severity = finding.SeverityWarn":                                            1,
		"if f.ID == \"WD101\" { f() }":                                                 1,
		"x := finding.NotWindows.At(\"\", \"a\"); if x.Severity == worst { return x }": 0,
	} {
		f, err := parser.ParseFile(positions, "", "package p\nfunc _() {\n"+code+"\n}", parser.SkipObjectResolution)
		require.NoError(t, err, code)
		assert.Len(t, append(asks(f, format), madeByHand(f)...), want, code)
	}
}
