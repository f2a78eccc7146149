package rules

import (
	"go/ast"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// docLink is a name in square brackets, of which go doc makes a link.
var docLink = regexp.MustCompile(`\[\*?((?:[a-z][A-Za-z0-9_]*\.)?[A-Z][A-Za-z0-9_]*(?:\.[A-Z][A-Za-z0-9_]*)?)\]`)

// Comments link to what their package declares, or to packages that it imports: a name
// that went elsewhere is followed there.
func TestCommentsLinkToWhatIsThere(t *testing.T) {
	all := files(t)
	known := map[string]map[string]bool{} // by folder
	for _, f := range all {
		if known[f.dir] == nil {
			known[f.dir] = map[string]bool{}
		}
		maps.Copy(known[f.dir], declared(f.syntax))
	}
	for _, f := range all {
		for _, group := range f.syntax.Comments {
			for _, m := range docLink.FindAllStringSubmatch(group.Text(), -1) {
				name := m[1]
				if pkg, _, qualified := strings.Cut(name, "."); qualified && known[f.dir][pkg+"."] {
					continue
				}
				assert.True(t, known[f.dir][name], "%s:%d: [%s] is not declared in %s", f.path, positions.Position(group.Pos()).Line, name, f.dir)
			}
		}
	}
}

// declared are the names that a comment may link to: those that a file declares, methods
// and fields behind their type, and the packages that it imports with a dot behind them.
func declared(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, i := range f.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		name = name[strings.LastIndex(name, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name+"."] = true
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[receiver(d)+d.Name.Name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				declare(names, s)
			}
		}
	}
	return names
}

// receiver is the type of a method with a dot behind it, and nothing of a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	for of := d.Recv.List[0].Type; ; {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.IndexListExpr:
			of = t.X
		case *ast.Ident:
			return t.Name + "."
		default:
			return ""
		}
	}
}

// declare adds what a constant, variable or type declares.
func declare(names map[string]bool, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[s.Name.Name] = true
		for _, n := range members(s.Type) {
			names[s.Name.Name+"."+n.Name] = true
		}
	}
}

// members are the fields of a structure, or the methods of an interface.
func members(of ast.Expr) (names []*ast.Ident) {
	var list *ast.FieldList
	switch of := of.(type) {
	case *ast.StructType:
		list = of.Fields
	case *ast.InterfaceType:
		list = of.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		names = append(names, f.Names...)
	}
	return names
}
