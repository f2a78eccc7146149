package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaDir holds a JSON Schema for each command, by its name.
const schemaDir = "../../docs/schema"

// validate holds one document against the schema that it names.
func validate(dir string, document []byte) error {
	var doc map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		return err
	}
	name, _ := doc["schema"].(string)
	part := strings.Split(name, "/")
	if len(part) != 3 || part[0] != "windmp" {
		return fmt.Errorf("the document names no schema: %q", name)
	}
	schema, err := resolved(filepath.Join(dir, part[1]+"-"+part[2]+".json"))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// resolvedSchemas are those that were asked for, by their file: to read one takes
// longer than to hold a document against it.
var resolvedSchemas sync.Map

// resolved is the schema in a file.
func resolved(path string) (*jsonschema.Resolved, error) {
	known, _ := resolvedSchemas.Load(path)
	if s, ok := known.(*jsonschema.Resolved); ok {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	s, err := schema.Resolve(nil)
	if err == nil {
		resolvedSchemas.Store(path, s)
	}
	return s, err
}
