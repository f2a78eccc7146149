package rules

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	// flag is how a command line has it, or a command of ours.
	flag = regexp.MustCompile(`(^|[\s"'(=,])--[a-z%]|\bwindmp (convert|check|info|stack|symbols|vtop)\b`)
	// others are programs whose flags a library may speak of.
	others = regexp.MustCompile(`\b(virsh|makedumpfile|VBoxManage)\b`)
)

// What the libraries say holds for whoever uses them: the command says its flags
// itself (cmd/windmp/words.go).
func TestLibrariesSpeakOfNoFlags(t *testing.T) {
	for _, f := range files(t) {
		room, _, _ := strings.Cut(f.dir, "/")
		if slices.Contains([]string{"cmd", "scripts", "examples"}, room) || slices.Contains(forTests, f.dir) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			if flag.MatchString(text) && !others.MatchString(text) {
				t.Errorf("%s:%d: %s speaks of the command line", f.path, positions.Position(lit.Pos()).Line, lit.Value)
			}
			return true
		})
	}
}
