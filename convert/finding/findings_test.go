package finding

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFindingsAreDocumented keeps docs/findings.md and the IDs in step.
func TestFindingsAreDocumented(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "finding.go", nil, 0)
	require.NoError(t, err)
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, `"WD`) {
			id := strings.Trim(lit.Value, `"`)
			assert.False(t, declared[id], "%s is declared once", id)
			declared[id] = true
		}
		return true
	})
	doc, err := os.ReadFile("../../docs/findings.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (WD\d{3}) \|`).FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	assert.Equal(t, declared, documented)
}
