// Package fields describes structures of a file by their fields: where each lies, what
// a number in it is. One description serves reading, writing and naming what differs.
package fields

import (
	"encoding/binary"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"
)

// Field is where a field lies in a structure of the file. One that is inside
// another is named as in "Exception.ExceptionCode" and "Run[3].BasePage".
type Field struct {
	Name   string
	Offset int // bytes from the start of the structure
	Size   int // bytes, of all elements
	Count  int // elements of an array, otherwise 1
}

// End is the offset of what follows.
func (f Field) End() int { return f.Offset + f.Size }

// IsNumber reports whether the field is a single number.
func (f Field) IsNumber() bool { return f.Count == 1 && f.Size <= 8 }

// Load reads element i, a little-endian number, from the structure's bytes.
func (f Field) Load(b []byte, i int) uint64 {
	size := f.Size / f.Count
	at := f.Offset + i*size
	var v uint64
	for k := size - 1; k >= 0; k-- {
		v = v<<8 | uint64(b[at+k])
	}
	return v
}

// Store is the inverse. A number that the field can't hold loses its upper bits.
func (f Field) Store(b []byte, i int, v uint64) {
	size := f.Size / f.Count
	at := f.Offset + i*size
	for k := range size {
		b[at+k] = byte(v >> (8 * k) & 0xff)
	}
}

// Structure is a structure as it stands in a file: little-endian, without gaps.
// Its fields are listed when somebody first asks for them: a program has the
// structures of all machines and kinds of dump, and uses a few.
type Structure struct {
	typ    reflect.Type
	size   int
	listed sync.Once
	fields []Field          // in order, those without fields of their own
	at     map[string]Field // all of them by name
}

// Of describes T, a struct of numbers of a fixed size, arrays and structs of
// such. A struct that is embedded lends its fields. Of panics with any other
// T: that is a mistake in the program.
func Of[T any]() *Structure {
	typ, size := reflect.TypeFor[T](), binary.Size(*new(T))
	if typ.Kind() != reflect.Struct || size < 0 {
		panic(fmt.Sprintf("fields: %v is no structure of a fixed size", typ))
	}
	return &Structure{typ: typ, size: size}
}

// list makes the lists of fields, once.
func (w *Structure) list() {
	w.listed.Do(func() {
		l := listing{at: map[string]Field{}}
		l.addStruct("", w.typ)
		w.fields, w.at = l.fields, l.at
	})
}

// listing is what is known of a structure's fields, up to the next one.
type listing struct {
	end    int // bytes
	fields []Field
	at     map[string]Field
}

// addStruct appends the fields of a struct, their names behind prefix.
func (l *listing) addStruct(prefix string, typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			l.addStruct(prefix, f.Type)
			continue
		}
		l.add(prefix+f.Name, f.Type)
	}
}

// add appends one field with what is inside it.
func (l *listing) add(name string, typ reflect.Type) {
	f := Field{Name: name, Offset: l.end, Count: 1}
	switch typ.Kind() {
	case reflect.Struct:
		l.addStruct(name+".", typ)
	case reflect.Array:
		f.Count = typ.Len()
		l.addElements(name, typ)
	default:
		l.addLeaf(name, typ, 1)
	}
	f.Size = l.end - f.Offset
	l.at[name] = f
}

// addElements appends the elements of an array. One of bytes is taken as a whole.
func (l *listing) addElements(name string, typ reflect.Type) {
	elem := typ.Elem()
	if elem.Kind() == reflect.Uint8 {
		l.addLeaf(name, typ, typ.Len())
		return
	}
	for i := range typ.Len() {
		element := fmt.Sprintf("%s[%d]", name, i)
		if elem.Kind() == reflect.Struct {
			l.addStruct(element+".", elem)
		} else {
			l.add(element, elem)
		}
	}
}

// addLeaf appends a field without fields of its own: a number, or bytes.
func (l *listing) addLeaf(name string, typ reflect.Type, count int) {
	size := int(typ.Size())
	l.fields = append(l.fields, Field{Name: name, Offset: l.end, Size: size, Count: count})
	l.end += size
}

// Size is the size of the structure in bytes.
func (w *Structure) Size() int { return w.size }

// Fields are the fields in order, those without fields of their own.
func (w *Structure) Fields() iter.Seq[Field] {
	w.list()
	return slices.Values(w.fields)
}

// Field returns the field, array or inner structure of that name.
func (w *Structure) Field(name string) (f Field, ok bool) {
	w.list()
	f, ok = w.at[name]
	return f, ok
}

// Load reads a number by the name of its field: 0 if there is none.
func (w *Structure) Load(b []byte, name string) uint64 {
	if f, ok := w.Field(name); ok {
		return f.Load(b, 0)
	}
	return 0
}

// Store sets a number by the name of its field, if there is one.
func (w *Structure) Store(b []byte, name string, v uint64) {
	if f, ok := w.Field(name); ok {
		f.Store(b, 0, v)
	}
}

// Decode reads a structure of so many bytes.
func Decode[T any](structure string, b []byte, size int) (*T, error) {
	if len(b) != size {
		return nil, &SizeError{Structure: structure, Got: len(b), Want: size}
	}
	v := new(T)
	// The only errors are a short buffer, excluded above, and a type of
	// variable size, excluded where its size is asserted.
	_, _ = binary.Decode(b, binary.LittleEndian, v)
	return v, nil
}

// Encode is the inverse.
func Encode(v any, size int) []byte {
	b := make([]byte, size)
	_, _ = binary.Encode(b, binary.LittleEndian, v) // as in Decode
	return b
}

// LoadNumbers sets the fields of the structure that v points to, all of them
// numbers, from those of the same names in b. What w does not have stays as it is.
func (w *Structure) LoadNumbers(b []byte, v any) {
	to := reflect.ValueOf(v).Elem()
	for i := range to.NumField() {
		if part, ok := w.Field(to.Type().Field(i).Name); ok {
			to.Field(i).SetUint(part.Load(b, 0))
		}
	}
}

// StoreNumbers is the inverse. What the structure does not have is left alone.
func (w *Structure) StoreNumbers(b []byte, v any) {
	from := reflect.ValueOf(v).Elem()
	for i := range from.NumField() {
		if from.Field(i).CanUint() {
			w.Store(b, from.Type().Field(i).Name, from.Field(i).Uint())
		}
	}
}

// SizeError says that a buffer does not have the size of the structure that it
// should hold.
type SizeError struct {
	Structure string
	Got, Want int // bytes
}

// Error names the structure and both sizes.
func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: got 0x%x bytes, want 0x%x", e.Structure, e.Got, e.Want)
}
