package winhdr

import (
	"bytes"
	"fmt"
	"strings"

	"windmp/winhdr/fields"
)

// FieldDiff is a field that two headers have otherwise.
type FieldDiff struct {
	// Field is Windows' name; an array element or a field inside another as in
	// "Run[3].BasePage" and "Context.Rip".
	Field  string
	Offset int // bytes from the start of the header
	// From and To are the two values, numbers in hex. Of bytes without a meaning
	// they are the first few that differ.
	From, To string
}

// String gives field, offset, and both values.
func (d FieldDiff) String() string {
	return fmt.Sprintf("%s at 0x%x: %s becomes %s", d.Field, d.Offset, d.From, d.To)
}

// In tells whether the difference is in the field of that name, or in a part of it.
func (d FieldDiff) In(field string) bool {
	rest, ok := strings.CutPrefix(d.Field, field)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Diff lists the fields that b has otherwise than a, in the order of the header,
// the registers of CONTEXT one by one. Headers of two formats have nothing that
// could be compared: then the formats are the only difference.
func Diff(a, b *Header) []FieldDiff {
	if a.format != b.format {
		return []FieldDiff{{Field: "Format", From: a.format.Name, To: b.format.Name}}
	}
	from, to := a.Encode(), b.Encode()
	if bytes.Equal(from, to) {
		return nil
	}
	var diffs []FieldDiff
	for _, f := range a.format.leaves() {
		if !bytes.Equal(from[f.Offset:f.End()], to[f.Offset:f.End()]) {
			diffs = append(diffs, diffOf(f, from, to))
		}
	}
	return diffs
}

// leaves are the fields of a header that have no fields of their own, CONTEXT's
// among them.
func (f *Format) leaves() []fields.Field {
	var list []fields.Field
	for field := range f.Header.Fields() {
		if field.Name != "Context" {
			list = append(list, field)
			continue
		}
		for r := range f.Registers.Fields() {
			r.Name, r.Offset = "Context."+r.Name, r.Offset+field.Offset
			list = append(list, r)
		}
		size := f.Registers.Size()
		list = append(list, fields.Field{Name: "ContextTail", Offset: field.Offset + size, Size: field.Size - size, Count: field.Size - size})
	}
	return list
}

// diffOf is that of a field that differs.
func diffOf(f fields.Field, from, to []byte) FieldDiff {
	d := FieldDiff{Field: f.Name, Offset: f.Offset}
	if f.IsNumber() {
		d.From, d.To = fmt.Sprintf("0x%x", f.Load(from, 0)), fmt.Sprintf("0x%x", f.Load(to, 0))
		return d
	}
	for from[d.Offset] == to[d.Offset] {
		d.Offset++
	}
	const shown = 8
	end := min(d.Offset+shown, f.End())
	d.From, d.To = fmt.Sprintf("% x", from[d.Offset:end]), fmt.Sprintf("% x", to[d.Offset:end])
	return d
}
