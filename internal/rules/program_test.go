package rules

import (
	"go/ast"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program has no templates: text/template finds methods by their names, for which the
// linker keeps all that are exported, and the program is a sixth larger. Cobra imports it,
// and links it if it is given a template.
func TestProgramHasNoTemplates(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./cmd/windmp")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	ours, users := map[string]bool{}, []string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		ours[strings.TrimPrefix(fields[0], "windmp/")] = true
		for _, imported := range fields[1:] {
			if strings.HasSuffix(imported, "/template") && fields[0] != "html/template" {
				users = append(users, fields[0])
			}
		}
	}
	assert.Equal(t, []string{"github.com/spf13/cobra"}, users)
	for _, f := range files(t) {
		if !ours[f.dir] {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if called, ok := n.(*ast.SelectorExpr); ok {
				name := called.Sel.Name
				setsOne := strings.HasPrefix(name, "Set") && strings.HasSuffix(name, "Template") || strings.HasPrefix(name, "AddTemplateFunc")
				assert.False(t, setsOne, "%s gives cobra a template: %s", f.path, name)
			}
			return true
		})
	}
}
