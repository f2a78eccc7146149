package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaDir holds a JSON Schema for each command, by its name.
const schemaDir = "../../docs/schema"

// validate holds one document against the schema that it names.
func validate(dir string, document []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	object, _ := doc.(map[string]any)
	name, _ := object["schema"].(string)
	part := strings.Split(name, "/")
	if len(part) != 3 || part[0] != "windmp" {
		return fmt.Errorf("the document names no schema: %q", name)
	}
	schema, err := compiled(name, filepath.Join(dir, part[1]+"-"+part[2]+".json"))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// compiledSchemas are those that were asked for, by their file: to compile one takes
// longer than to hold a document against it.
var compiledSchemas sync.Map

// compiled is the schema of that name in a file.
func compiled(name, path string) (*jsonschema.Schema, error) {
	known, _ := compiledSchemas.Load(path)
	if s, ok := known.(*jsonschema.Schema); ok {
		return s, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, text); err != nil {
		return nil, err
	}
	schema, err := c.Compile(name)
	if err == nil {
		compiledSchemas.Store(path, schema)
	}
	return schema, err
}
