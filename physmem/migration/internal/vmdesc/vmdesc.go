// Package vmdesc reads the description of devices at the end of a migration stream.
package vmdesc

import (
	"encoding/json"
	"errors"
	"io"
	"math"

	"windmp/internal/binio"
)

// Device is what the description at the stream's end says of a device.
type Device struct {
	Name     string
	Instance uint64
	Size     uint64 // bytes of its data
}

// maxDevices caps the devices; machines have hundreds.
const maxDevices = 1 << 16

// maxDepth caps structures in structures; some five are seen.
const maxDepth = 64

var errDescription = errors.New("not the description of a migration stream")

// Read reads the description, JSON (QEMU migration/vmstate.c): the devices
// with their fields in the order of their bytes. Of a field, size says how many bytes it
// has, whatever it is made of, and array_len how often it is there; a subsection has a
// header of its own. It keeps nothing but the devices.
func Read(r io.Reader) ([]Device, error) {
	d := &describer{dec: json.NewDecoder(r)}
	d.dec.UseNumber()
	var list []Device
	err := d.object(0, func(key string) error {
		if key != "devices" {
			return d.skip()
		}
		return d.array(1, func() error {
			if len(list) == maxDevices {
				return errDescription
			}
			x, err := d.device(2)
			list = append(list, x)
			return err
		})
	})
	return list, err
}

// A describer walks over JSON, token by token.
type describer struct{ dec *json.Decoder }

// object calls f for each key of an object, which must read its value.
func (d *describer) object(depth int, f func(key string) error) error {
	if err := d.delim('{', depth); err != nil {
		return err
	}
	return d.members(depth, f)
}

// members calls f for each key of an object whose begin was read.
func (d *describer) members(depth int, f func(key string) error) error {
	for d.dec.More() {
		t, err := d.dec.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok || depth > maxDepth {
			return errDescription
		}
		if err := f(key); err != nil {
			return err
		}
	}
	_, err := d.dec.Token()
	return err
}

// array calls f for each element of an array, which must read it.
func (d *describer) array(depth int, f func() error) error {
	if err := d.delim('[', depth); err != nil {
		return err
	}
	for d.dec.More() {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := d.dec.Token()
	return err
}

func (d *describer) delim(want json.Delim, depth int) error {
	t, err := d.dec.Token()
	if err == nil && (t != want || depth > maxDepth) {
		return errDescription
	}
	return err
}

// skip passes over a value.
func (d *describer) skip() error {
	for open := 0; ; {
		t, err := d.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
		if open <= 0 {
			return nil
		}
	}
}

// number reads a number that is not negative.
func (d *describer) number() (uint64, error) {
	t, err := d.dec.Token()
	if err != nil {
		return 0, err
	}
	n, ok := t.(json.Number)
	if !ok {
		return 0, errDescription
	}
	v, err := n.Int64()
	if err != nil || v < 0 {
		return 0, errDescription
	}
	return uint64(v), nil
}

// text reads a string.
func (d *describer) text() (string, error) {
	t, err := d.dec.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", errDescription
	}
	return s, nil
}

// device reads a device.
func (d *describer) device(depth int) (x Device, err error) {
	err = d.object(depth, func(key string) (err error) {
		switch key {
		case "name":
			x.Name, err = d.text()
		case "instance_id":
			x.Instance, err = d.number()
		default:
			var n uint64
			n, err = d.part(key, depth)
			x.Size = plus(x.Size, n)
		}
		return err
	})
	return x, err
}

// part returns the bytes of a member of a device or a subsection: its fields, or its
// subsections.
func (d *describer) part(key string, depth int) (n uint64, err error) {
	switch key {
	case "fields":
		err = d.array(depth, func() error {
			size, err := d.field(depth + 1)
			n = plus(n, size)
			return err
		})
	case "subsections":
		err = d.array(depth, func() error {
			size, err := d.subsection(depth + 1)
			n = plus(n, size)
			return err
		})
	default:
		err = d.skip()
	}
	return n, err
}

// field returns the bytes of a field.
func (d *describer) field(depth int) (uint64, error) {
	size, count := uint64(0), uint64(1)
	err := d.object(depth, func(key string) (err error) {
		switch key {
		case "size":
			size, err = d.number()
		case "array_len":
			count, err = d.number()
		default:
			err = d.skip()
		}
		return err
	})
	if count > 0 && size > math.MaxUint64/count {
		return math.MaxUint64, err
	}
	return size * count, err
}

// subsection returns the bytes of a subsection: type, name with its length, version, and
// its fields and subsections.
func (d *describer) subsection(depth int) (n uint64, err error) {
	const typeAndLength, versionSize = 2, 4
	if depth > maxDepth {
		return 0, errDescription
	}
	err = d.object(depth, func(key string) error {
		if key == "vmsd_name" {
			name, err := d.text()
			n = plus(n, typeAndLength+uint64(len(name))+versionSize)
			return err
		}
		size, err := d.part(key, depth)
		n = plus(n, size)
		return err
	})
	return n, err
}

// plus adds sizes; what does not fit is more than any file has.
func plus(a, b uint64) uint64 {
	if s, ok := binio.Sum(a, b); ok {
		return s
	}
	return math.MaxUint64
}
