package convert_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/judge"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

// TestStagesEndInValues: whatever the end of a stage hands out is the caller's own. Two
// answers to the same question share nothing that either could write to.
func TestStagesEndInValues(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]plan.Options{
		"guest-bsod.vmcore":           {Contexts: plan.ContextsVCPU},
		"live-2cpu-paging.vmcore.gz":  {To: plan.FormatELF},
		"x86-bsod-2cpu.vmcore.gz":     {Type: plan.OutputTriage},
		"arm64-bsod-2cpu.vmcore.gz":   {Type: plan.OutputBitmap},
		"shadow-user-2cpu.win-dmp.gz": {Type: plan.OutputKernel},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im := openBytes(t, gunzip(t, name))
			g, err := guest.Find(t.Context(), im, guest.Options{})
			require.NoError(t, err)
			p, err := plan.New(t.Context(), g, opt)
			require.NoError(t, err)
			assert.Empty(t, shared(im), "image")
			assert.Empty(t, shared(g), "guest")
			assert.Empty(t, shared(p), "plan")
			if opt.To != plan.FormatELF {
				v, err := judge.Plan(t.Context(), p)
				require.NoError(t, err)
				assert.Empty(t, shared(v.Guest), "guest of the dump")
			}
			describe := func() *report.Report {
				r := report.New("in", "out", true)
				plan.Describe(r, p)
				return r
			}
			assert.Empty(t, sharedBy(answers{"report": describe}), "report")
		})
	}
}

// TestNothingIsPlannedWithoutAGuest: who goes on after a failed search is told so.
func TestNothingIsPlannedWithoutAGuest(t *testing.T) {
	t.Parallel()
	im, err := open.Source(t.Context(), physmem.NewSource("empty.bin", bytes.NewReader(make([]byte, 1<<16)), 1<<16), open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.Error(t, err)
	r := report.New("in", "out", true)
	_, err = convert.Prepare(t.Context(), r, g, &convert.Options{})
	require.ErrorIs(t, err, plan.ErrIncomplete)
	assert.Nil(t, r.Guest)
	assert.Empty(t, shared(g), "guest")
}

// TestClonesShareNothing: whatever a container carries, though no sample does.
func TestClonesShareNothing(t *testing.T) {
	t.Parallel()
	for _, original := range []any{
		new(physmem.X86), new(physmem.ARM64), new(specials.X86Values), new(specials.ARM64Values),
		new(wincontext.Context64), new(wincontext.Context32), new(wincontext.ContextARM64),
		new(machine.State), new(peimage.Image), new(report.Triage),
	} {
		v := reflect.ValueOf(original)
		fill(v.Elem())
		clone := v.MethodByName("Clone").Call(nil)[0].Interface()
		assert.Equal(t, original, clone)
		first, second := reached{}, reached{}
		first.add(v.Type().String(), v)
		second.add("", reflect.ValueOf(clone))
		for at, path := range first {
			assert.NotContains(t, second, at, path)
		}
	}
}

// fill puts something behind every pointer and into every slice of a structure.
func fill(v reflect.Value) {
	for _, f := range v.Fields() {
		switch {
		case !f.CanSet() || descriptions[f.Type()]:
		case f.Kind() == reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case f.Kind() == reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case f.Kind() == reflect.Struct:
			fill(f)
		}
	}
}

// answers are functions without parameters, by name.
type answers map[string]any

// shared lists what two calls of the same method of a value both give, and a caller
// could write to.
func shared(value any) []string {
	v := reflect.ValueOf(value)
	return append(sharedBy(questions(v)), settable(v)...)
}

// questions are the methods of a value that have no parameters, and give more than a
// number or a word.
func questions(v reflect.Value) answers {
	list := answers{}
	for i := range v.NumMethod() {
		if m := v.Method(i); m.Type().NumIn() == 0 && m.Type().NumOut() > 0 && holds(m.Type().Out(0)) {
			list[v.Type().Method(i).Name] = m.Interface()
		}
	}
	return list
}

// sharedBy is shared for functions that are listed.
func sharedBy(list answers) (found []string) {
	for name, f := range list {
		first, second := reached{}, reached{}
		first.add(name, reflect.ValueOf(f).Call(nil)[0])
		second.add(name, reflect.ValueOf(f).Call(nil)[0])
		for at, path := range first {
			if _, both := second[at]; both {
				found = append(found, path)
			}
		}
	}
	return found
}

// settable lists exported fields of a value itself.
func settable(v reflect.Value) (found []string) {
	for _, f := range reflect.VisibleFields(v.Type().Elem()) {
		if f.IsExported() {
			found = append(found, v.Type().String()+"."+f.Name)
		}
	}
	return found
}

// reached is memory that a caller could write to, and the way there.
type reached map[place]string

type place struct {
	at  uintptr
	typ reflect.Type
}

// descriptions are what a guest has in common with all others: what is said of a machine
// by those who describe it.
var descriptions = map[reflect.Type]bool{
	reflect.TypeFor[*machine.Machine](): true, reflect.TypeFor[*vtop.Mode](): true,
	reflect.TypeFor[*kdbg.Layout](): true, reflect.TypeFor[*winhdr.Format](): true,
}

// add goes where a caller can: through exported fields, pointers, slices, maps and
// sequences. An error is passed on as it is, as everywhere in Go.
func (r reached) add(path string, v reflect.Value) {
	if !v.IsValid() || descriptions[v.Type()] || v.Type().Implements(reflect.TypeFor[error]()) {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		r.add(path, v.Elem())
	case reflect.Pointer:
		switch {
		case v.IsNil():
		case !opens(v.Type().Elem()):
			r.ask(path, v)
		case r.take(path, v, v.Pointer()):
			r.add(path, v.Elem())
		}
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.IsExported() && len(f.Index) == 1 {
				r.add(path+"."+f.Name, v.FieldByIndex(f.Index))
			}
		}
	case reflect.Slice:
		if v.Cap() > 0 && v.Type().Elem().Size() > 0 && !r.take(path, v, v.Pointer()) {
			return
		}
		r.addElements(path, v)
	case reflect.Array:
		r.addElements(path, v)
	case reflect.Map:
		if !v.IsNil() && r.take(path, v, v.Pointer()) {
			for k, e := range v.Seq2() {
				r.add(fmt.Sprintf("%s[%v]", path, k), e)
			}
		}
	case reflect.Func:
		if v.Type().CanSeq() && !v.IsNil() {
			i := 0
			for e := range v.Seq() {
				r.add(fmt.Sprintf("%s, the %d.", path, i), e)
				i++
			}
		}
	default: // a value without anything behind it
	}
}

// addElements adds what the elements of a slice or an array lead to.
func (r reached) addElements(path string, v reflect.Value) {
	if holds(v.Type().Elem()) {
		for i := range v.Len() {
			r.add(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	}
}

// holds tells whether what is of a type may lead to something else.
func holds(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Struct, reflect.Slice, reflect.Array, reflect.Map, reflect.Func:
		return true
	default:
		return false
	}
}

// ask goes on to the answers of what has no exported fields.
func (r reached) ask(path string, v reflect.Value) {
	for name, f := range questions(v) {
		r.add(path+"."+name, reflect.ValueOf(f).Call(nil)[0])
	}
}

// opens tells whether something of a type can be set: all but structures that have no
// exported field.
func opens(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return true
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() {
			return true
		}
	}
	return false
}

func (r reached) take(path string, v reflect.Value, at uintptr) bool {
	p := place{at, v.Type()}
	if _, known := r[p]; known {
		return false
	}
	r[p] = path
	return true
}
