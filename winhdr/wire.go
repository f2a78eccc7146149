package winhdr

import (
	"encoding/binary"
	"fmt"
	"reflect"
)

// Field is where a field lies in a structure of the file. One that is inside
// another is named as in "Exception.ExceptionCode" and "Run[3].BasePage".
type Field struct {
	Name   string
	Offset int // bytes from the start of the structure
	Size   int // bytes, of all elements
	Count  int // elements of an array, otherwise 1
}

// end is the offset of what follows.
func (f Field) end() int { return f.Offset + f.Size }

// number reports whether the field is a single number.
func (f Field) number() bool { return f.Count == 1 && f.Size <= 8 }

// load reads element i, a little-endian number, from the structure's bytes.
func (f Field) load(b []byte, i int) uint64 {
	size := f.Size / f.Count
	at := f.Offset + i*size
	var v uint64
	for k := size - 1; k >= 0; k-- {
		v = v<<8 | uint64(b[at+k])
	}
	return v
}

// store is the inverse. A number that the field can't hold loses its upper bits.
func (f Field) store(b []byte, i int, v uint64) {
	size := f.Size / f.Count
	at := f.Offset + i*size
	for k := range size {
		b[at+k] = byte(v >> (8 * k) & 0xff)
	}
}

// Wire is a structure as it stands in a file: little-endian, without gaps.
type Wire struct {
	name   string
	size   int
	fields []Field          // in order, those without fields of their own
	at     map[string]Field // all of them by name
}

// WireOf describes T, a struct of numbers of a fixed size, arrays and structs of
// such. A struct that is embedded lends its fields. WireOf panics with any other
// T: that is a mistake in the program.
func WireOf[T any]() *Wire {
	typ := reflect.TypeFor[T]()
	if typ.Kind() != reflect.Struct || binary.Size(reflect.Zero(typ).Interface()) < 0 {
		panic(fmt.Sprintf("winhdr: %v is no structure of a fixed size", typ))
	}
	w := &Wire{name: typ.Name(), at: map[string]Field{}}
	w.addStruct("", typ)
	return w
}

// addStruct appends the fields of a struct, their names behind prefix.
func (w *Wire) addStruct(prefix string, typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			w.addStruct(prefix, f.Type)
			continue
		}
		w.add(prefix+f.Name, f.Type)
	}
}

// add appends one field with what is inside it.
func (w *Wire) add(name string, typ reflect.Type) {
	f := Field{Name: name, Offset: w.size, Size: binary.Size(reflect.Zero(typ).Interface()), Count: 1}
	switch typ.Kind() {
	case reflect.Struct:
		w.addStruct(name+".", typ)
	case reflect.Array:
		f.Count = typ.Len()
		w.addElements(name, typ)
	default:
		w.size += f.Size
		w.fields = append(w.fields, f)
	}
	w.at[name] = f
}

// addElements appends the elements of an array. One of bytes is taken as a whole.
func (w *Wire) addElements(name string, typ reflect.Type) {
	elem := typ.Elem()
	if elem.Kind() == reflect.Uint8 {
		w.fields = append(w.fields, Field{Name: name, Offset: w.size, Size: typ.Len(), Count: typ.Len()})
		w.size += typ.Len()
		return
	}
	for i := range typ.Len() {
		element := fmt.Sprintf("%s[%d]", name, i)
		if elem.Kind() == reflect.Struct {
			w.addStruct(element+".", elem)
		} else {
			w.add(element, elem)
		}
	}
}

// Size is the size of the structure in bytes.
func (w *Wire) Size() int { return w.size }

// Field returns the field, array or inner structure of that name.
func (w *Wire) Field(name string) (f Field, ok bool) {
	f, ok = w.at[name]
	return f, ok
}

// load reads a number by the name of its field: 0 if there is none.
func (w *Wire) load(b []byte, name string) uint64 {
	if f, ok := w.Field(name); ok {
		return f.load(b, 0)
	}
	return 0
}

// store sets a number by the name of its field, if there is one.
func (w *Wire) store(b []byte, name string, v uint64) {
	if f, ok := w.Field(name); ok {
		f.store(b, 0, v)
	}
}

// decode reads a structure of so many bytes.
func decode[T any](structure string, b []byte, size int) (*T, error) {
	if len(b) != size {
		return nil, &SizeError{Structure: structure, Got: len(b), Want: size}
	}
	v := new(T)
	// The only errors are a short buffer, excluded above, and a type of
	// variable size, excluded where its size is asserted.
	_, _ = binary.Decode(b, binary.LittleEndian, v)
	return v, nil
}

// encode is the inverse.
func encode(v any, size int) []byte {
	b := make([]byte, size)
	_, _ = binary.Encode(b, binary.LittleEndian, v) // as in decode
	return b
}
