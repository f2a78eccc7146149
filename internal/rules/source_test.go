package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's folder.
const root = "../.."

// file is a file that is no test, whatever system it is for.
type file struct {
	dir, path string // slashes, from the module's folder
	syntax    *ast.File
}

var positions = token.NewFileSet()

// files are all of the module, parsed.
func files(t *testing.T) []file {
	t.Helper()
	all, err := parsed()
	require.NoError(t, err)
	return all
}

// parsed parses them, once for all tests, which only look at them.
var parsed = sync.OnceValues(func() (out []file, err error) {
	tree := os.DirFS(root)
	err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (base == "testdata" || name == "tools" || len(base) > 1 && strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(positions, name, text, parser.SkipObjectResolution|parser.ParseComments)
		out = append(out, file{dir: path.Dir(name), path: name, syntax: syntax})
		return err
	})
	return out, err
})
