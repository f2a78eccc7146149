package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/progress"
	"windmp/convert/report"
)

var updateSchemas = flag.Bool("update-schemas", false, "write docs/schema anew from the types")

// documents are the documents that the program prints, by schema.
func documents() map[string]reflect.Type {
	return map[string]reflect.Type{
		convertSchema: reflect.TypeFor[document](),
		checkSchema:   reflect.TypeFor[checkDocument](),
		infoSchema:    reflect.TypeFor[infoDocument](),
		stackSchema:   reflect.TypeFor[stackDocument](),
		symbolsSchema: reflect.TypeFor[symbolsDocument](),
		vtopSchema:    reflect.TypeFor[vtopDocument](),
		versionSchema: reflect.TypeFor[versionDocument](),
	}
}

// lines are the lines of standard error, by schema.
func lines() map[string]reflect.Type {
	return map[string]reflect.Type{
		logSchema:       reflect.TypeFor[logLine](),
		progress.Schema: reflect.TypeFor[progress.Line](),
	}
}

// inside are documents that are in what the program writes, by schema.
func inside() map[string]reflect.Type {
	return map[string]reflect.Type{
		report.InsideSchema: reflect.TypeFor[report.Inside](),
		mountSchema:         reflect.TypeFor[mountDocument](),
	}
}

// TestSchemasAreOfTheTypes keeps docs/schema and the Go types in step.
func TestSchemasAreOfTheTypes(t *testing.T) {
	t.Parallel()
	comments := fieldComments(t, ".", "internal/*", "../../convert", "../../convert/*")
	types := lines()
	maps.Copy(types, documents())
	maps.Copy(types, inside())
	for name, typ := range types {
		g := &schemaWriter{comments: comments, defs: map[string]any{}}
		root := g.object(typ)
		root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		root["title"] = name
		if documents()[name] != nil { // after a usage error a document has no report
			root["required"] = []string{"schema", "version", "exit_code"}
		}
		propertiesOf(root)["schema"] = map[string]any{"const": name}
		root["$defs"] = g.defs
		got, err := json.MarshalIndent(root, "", "  ")
		require.NoError(t, err)
		got = append(got, '\n')
		path := filepath.Join(schemaDir, strings.ReplaceAll(strings.TrimPrefix(name, "windmp/"), "/", "-")+".json")
		if *updateSchemas {
			require.NoError(t, os.WriteFile(path, got, 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "go test ./cmd/windmp -run Schemas -update-schemas")
	}
}

// schemaWriter makes a JSON Schema of a type.
type schemaWriter struct {
	comments map[string]string // package.type.field
	defs     map[string]any
}

// Words that fields hold.
var enums = map[string][]string{
	"verdict":  {"OK", "WARN", "UNKNOWN", "FAIL"},
	"severity": {"ok", "info", "warn", "unknown", "fail"},
	"level":    {string(levelInfo), string(levelWarn), string(levelError)},
	"event":    {progress.EventStage, progress.EventBytes, progress.EventDone, progress.EventFailed},
}

// propertiesOf is the part of a schema that object made.
func propertiesOf(schema map[string]any) map[string]any {
	p, _ := schema["properties"].(map[string]any)
	return p
}

func (g *schemaWriter) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			part := g.object(inner)
			for k, v := range propertiesOf(part) {
				if properties[k] == nil {
					properties[k] = v
				}
			}
			if f.Type.Kind() == reflect.Struct {
				of, _ := part["required"].([]string)
				required = append(required, of...)
			}
			continue
		case name == "-" || !f.IsExported():
			continue
		}
		p := g.schema(f.Type)
		if words := enums[name]; words != nil && (name != "level" || t == reflect.TypeFor[logLine]()) {
			p["enum"] = words
		}
		if text := g.comments[t.String()+"."+f.Name]; text != "" {
			p["description"] = text
		}
		properties[name] = p
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func (g *schemaWriter) schema(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[report.Hex]():
		return map[string]any{"type": "string", "pattern": "^0x[0-9a-f]{1,16}$"}
	case t.Kind() == reflect.Pointer:
		return g.schema(t.Elem())
	case t.Kind() == reflect.Struct:
		name := t.Name()
		if g.defs[name] == nil {
			g.defs[name] = true // ends a type that holds itself
			g.defs[name] = g.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(t.Elem())}
	case t.Kind() == reflect.Array:
		return map[string]any{"type": "array", "items": g.schema(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Float64:
		return map[string]any{"type": "number"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return map[string]any{"type": "integer"}
	default:
		panic(fmt.Sprintf("no schema for %v", t))
	}
}

// fieldComments are the comments of the structs' fields in some folders (patterns).
func fieldComments(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, dir := range folders {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
			if os.IsNotExist(err) {
				continue
			}
			require.NoError(t, err)
			addComments(file, comments)
		}
	}
	return comments
}

func addComments(file *ast.File, comments map[string]string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				text := f.Doc.Text()
				if text == "" {
					text = f.Comment.Text()
				}
				comments[file.Name.Name+"."+spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
			}
		}
		return true
	})
}

// TestExamplesAreOfTheSchemas validates the documents of the samples, which
// are the README's, and those of failures.
func TestExamplesAreOfTheSchemas(t *testing.T) {
	t.Parallel()
	const sample = "../../testdata/guest-bsod.vmcore"
	runs := [][]string{
		{"convert", sample, filepath.Join(t.TempDir(), "a.dmp"), "--json"},
		{"convert", sample, filepath.Join(t.TempDir(), "a.dmp"), "--json", "--dry-run"},
		{"convert", "missing", "--json"},
		{"convert", sample, "-", "--json"},
		{"check", sample, "missing", "schema_test.go", "--json"},
		{"check", sample, "--json", "--level=full", "--max-size=1MB"},
		{"check", sample, "--json", "--level=deep"},
		{"check", sample, "--json", "--level=header"},
		{"info", sample, "--json", "--modules", "--processes"},
		{"info", "missing", "--json"},
		{"info", "schema_test.go", "--json"},
		{"symbols", sample, "--json"},
		{"symbols", sample, "--json", "--urls=https://example.org/s"},
		{"symbols", sample, "--json", "--urls=x"},
		{"vtop", sample, "fffff78000000000", "0", "--json", "--read=64"},
		{"vtop", sample, "zz", "--json"},
		{"vtop", sample, "0", "--process=77", "--json"},
	}
	for _, args := range runs {
		var out, errs strings.Builder
		run(args, &out, &errs)
		require.NoError(t, validate(schemaDir, []byte(out.String())), "%v", args)
		assert.Empty(t, errs.String(), "%v", args)
	}
	_, err := fs.Stat(os.DirFS("."), "missing")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestSchemasRefuse: a document that is not of its schema is told apart from one that is.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	const good = `{"schema":"windmp/log/v1","time":"2026-01-02T03:04:05Z","level":"info","message":"m"}`
	require.NoError(t, validate(schemaDir, []byte(good)))
	for part, instead := range map[string]string{
		`"m"`:            `1`,             // another type
		`"info"`:         `"loud"`,        // none of the words
		`,"message":"m"`: ``,              // one that must be there
		`"m"}`:           `"m","more":1}`, // one that nobody knows
		`log/v1`:         `log/v0`,        // of no schema
		`log/`:           `vtop/`,         // of another one
	} {
		require.Contains(t, good, part)
		assert.Error(t, validate(schemaDir, []byte(strings.Replace(good, part, instead, 1))), instead)
	}
}
