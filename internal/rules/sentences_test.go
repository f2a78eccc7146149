package rules

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// forPeople are the calls that make a sentence for people, by the name of the function
// with the place of the format among the arguments: findings, oddities of containers, and
// why a file is not of a format.
var forPeople = map[string]int{"At": 1, "refuse": 2, "unexamined": 0, "Add": 2, "say": 2, "NotMine": 0}

// raw are the verbs that print what people do not read: values in hexadecimal, and errors
// as they are, which have offsets and addresses.
var raw = regexp.MustCompile(`0x%|%[#0-9+-]*[xXvp]`)

// TestSentencesHaveNoHexadecimal: a sentence for people has no values in hexadecimal, and
// no error in full. Those are the detail: Finding.Because, Oddity.Because. What a sentence
// takes in by %s is held by the tests of what is said.
func TestSentencesHaveNoHexadecimal(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, f := range files(t) {
		if !strings.HasPrefix(f.dir, "convert") && !strings.HasPrefix(f.dir, "physmem") {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			format := sentence(n)
			if format == nil {
				return true
			}
			seen++
			assert.NotRegexp(t, raw, format.Value, "%s: what is in hexadecimal, and an error, is the detail (Because)", positions.Position(format.Pos()))
			return true
		})
	}
	assert.Greater(t, seen, 250, "sentences that were looked at")
}

// sentence is the text or format of a sentence for people, nil where a node makes none.
func sentence(n ast.Node) *ast.BasicLit {
	switch n := n.(type) {
	case *ast.CallExpr:
		fun, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		at, ok := forPeople[fun.Sel.Name]
		if !ok || at >= len(n.Args) {
			return nil
		}
		return text(n.Args[at])
	case *ast.KeyValueExpr:
		key, ok := n.Key.(*ast.Ident)
		if !ok || !slices.Contains([]string{"What", "Hint"}, key.Name) {
			return nil
		}
		if call, ok := n.Value.(*ast.CallExpr); ok && len(call.Args) > 0 {
			return text(call.Args[0])
		}
		return text(n.Value)
	}
	return nil
}

// text is an expression that is a string as it stands, else nil.
func text(e ast.Expr) *ast.BasicLit {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return nil
	}
	return lit
}
