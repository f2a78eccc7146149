package htmlreport_test

import (
	"bytes"
	"context"
	"html"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
)

// sample is a file of testdata.
func sample(name string) string { return filepath.Join("..", "..", "testdata", name) }

// page renders.
func page(tb testing.TB, p *htmlreport.Page) string {
	tb.Helper()
	var out bytes.Buffer
	require.NoError(tb, htmlreport.Render(&out, p))
	return out.String()
}

// checked is the page of a check of samples.
func checked(tb testing.TB, names ...string) *htmlreport.Page {
	tb.Helper()
	var inputs []source.Input
	for _, name := range names {
		inputs = append(inputs, source.File(sample(name)))
	}
	r, err := inspect.Check(tb.Context(), inspect.CheckOptions{Details: true}, inputs...)
	require.NoError(tb, err)
	p := &htmlreport.Page{Command: "check", Version: "1.2.3"}
	for i := range r.Files {
		p.Files = append(p.Files, htmlreport.File{Check: &r.Files[i], Info: r.Files[i].Details})
	}
	return p
}

// converted is the page of a conversion that writes nothing.
func converted(tb testing.TB, name string, opt plan.Options) *htmlreport.Page {
	tb.Helper()
	var details *inspect.InfoReport
	r, err := convert.File(tb.Context(), sample(name), filepath.Join(tb.TempDir(), "out.dmp"), convert.Options{
		DryRun: true, Plan: opt,
		Examined: func(g *guest.Guest, p *plan.Plan) { details = inspect.Describe(sample(name), g, p) },
	})
	var refused *finding.RefusedError
	if err != nil {
		require.ErrorAs(tb, err, &refused)
	}
	return &htmlreport.Page{Command: "convert", Version: "1.2.3", Files: []htmlreport.File{{Convert: r, Info: details}}}
}

// said are the words of a page, without its tags.
func said(page string) string {
	_, body, _ := strings.Cut(page, "<body>")
	body, _, _ = strings.Cut(body, "<script ")
	return strings.Join(strings.Fields(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " "))), " ")
}

// has tells whether a page has some text; the page itself is too long for a message.
func has(page, text string) bool { return strings.Contains(page, text) }

// withModules is a page of a machine with as many modules.
func withModules(tb testing.TB, modules int, p *htmlreport.Page) *htmlreport.Page {
	tb.Helper()
	info := p.Files[0].Info
	require.NotEmpty(tb, info.Modules)
	for len(info.Modules) < modules {
		info.Modules = append(info.Modules, info.Modules[0])
	}
	return p
}

// Why symbols are not known is said once where it is the same of several modules, and at the
// module where it is not.
func TestUsualLackIsSaidOnce(t *testing.T) {
	t.Parallel()
	const usual, other = "its headers are not in the file", "its headers are damaged"
	p := withModules(t, 6, checked(t, "live-2cpu.vmcore.gz"))
	modules := p.Files[0].Info.Modules
	for i, why := range []string{usual, other, usual, usual} {
		modules[i].PDB, modules[i].Error = nil, why
	}
	got := said(page(t, p))
	assert.Equal(t, 1, strings.Count(got, usual), "%s", got)
	assert.Contains(t, got, "The symbols of 3 are not known: of each, "+usual+".")
	assert.Equal(t, 1, strings.Count(got, other))
	modules[2].Error, modules[3].Error = "its name is paged out", "its headers are paged out"
	assert.NotContains(t, said(page(t, p)), "are not known", "each has a reason of its own")
}

// A long list is folded, and a short one stands open.
func TestLongListsAreFolded(t *testing.T) {
	t.Parallel()
	const summary = "<summary>List of 200 modules</summary><div class=\"filter\""
	p := checked(t, "live-2cpu.vmcore.gz")
	assert.False(t, has(page(t, p), "List of"), "few modules")
	assert.True(t, has(page(t, withModules(t, 200, p)), summary), "200 modules")
}

// A page of a crashed guest has what the command prints of it.
func TestCheckedPage(t *testing.T) {
	t.Parallel()
	shown := page(t, checked(t, "bsod-4cpu-q35.vmcore.gz"))
	assert.True(t, strings.HasPrefix(shown, htmlreport.Beginning))
	text := said(shown)
	for _, want := range []string{
		"Verdict: OK", "It converts to a full dump of 3.5 MiB.", "Windows 10 2004 build 19041", "4 processors", "2021-09-11 04:00:09 UTC",
		"0x7e · SYSTEM_THREAD_EXCEPTION_NOT_HANDLED", "0x7e_c0000005!testdrv+0x1234", "4 0xffffb98010035000 address of the CONTEXT",
		"02 ▶ testdrv+0x1234 0xffffb98010035c00", "The guest has 3.5 MiB", "The dump holds 3.5 MiB",
		"testdrv.sys 0xfffff80045e40000 32 KiB", "testdrv.pdb 3B1A964A1DE74A11512D706D646E6977-1", "4 0 System 0x28b000 0xffffa50000200280",
		"Made by windmp 1.2.3.",
	} {
		assert.Contains(t, text, want)
	}
}

// A page of several files begins with all verdicts, and its marks are each there once.
func TestPageOfSeveral(t *testing.T) {
	t.Parallel()
	shown := page(t, checked(t, "live-2cpu-cut.vmcore.gz", "la57-1cpu.win-dmp.gz", "README.md"))
	text := said(shown)
	for _, want := range []string{
		"check: 3 files", "FAIL live-2cpu-cut.vmcore.gz", "WARN la57-1cpu.win-dmp.gz", "FAIL README.md",
		"No dump worth opening can be made of it.", "Debuggers open it, and show less than they might.", "What to do: Dump the whole guest",
		"132 KiB of the 3.5 MiB that the guest lists are missing.",
	} {
		assert.Contains(t, text, want)
	}
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(shown, -1) {
		ids[m[1]]++
		assert.Equal(t, 1, ids[m[1]], m[1])
	}
	for _, m := range regexp.MustCompile(` href="#([^"]*)"`).FindAllStringSubmatch(shown, -1) {
		assert.Equal(t, 1, ids[m[1]], m[1])
	}
}

// A page of a conversion says what is written, and what is changed.
func TestConvertedPage(t *testing.T) {
	t.Parallel()
	text := said(page(t, converted(t, "live-2cpu.vmcore.gz", plan.Options{Type: plan.OutputKernel})))
	for _, want := range []string{"Nothing was written. It would be a bitmap kernel dump of 2.1 MiB.", "369 pages of user memory left out", "The dump holds 2.1 MiB", "11 edits of memory"} {
		assert.Contains(t, text, want)
	}
	text = said(page(t, converted(t, "stack-trap-2cpu.vmcore.gz", plan.Options{Type: plan.OutputTriage})))
	assert.Contains(t, text, "KUSER_SHARED_DATA 4.0 KiB")
	assert.NotContains(t, text, "The dump holds")
	text = said(page(t, converted(t, "live-2cpu-cut.vmcore.gz", plan.Options{})))
	assert.Contains(t, text, "No dump was written.")
	assert.Contains(t, text, "the guest has it, the file does not")
}

// What was written is named by its digest, and has its size as it is packed.
func TestWritten(t *testing.T) {
	t.Parallel()
	r := &report.Report{Verdict: "OK", Output: report.Output{
		Path: "out.dmp.zst", Written: true, DumpType: "full", Compression: "zstd", Size: 4 << 20, FileSize: 1 << 20, SHA256: strings.Repeat("ab", 32),
	}}
	text := said(page(t, &htmlreport.Page{Command: "convert", Files: []htmlreport.File{{Convert: r}}}))
	assert.Contains(t, text, "out.dmp.zst · written")
	assert.Contains(t, text, "full dump, packed by zstd Size 4.0 MiB · 1.0 MiB as it is packed SHA-256 "+strings.Repeat("ab", 32))
}

// What went wrong before there was a file is a page too, in the words of whoever makes it.
func TestPageOfError(t *testing.T) {
	t.Parallel()
	words := func(s string) string { return strings.ReplaceAll(s, "the option", "--option") }
	text := said(page(t, &htmlreport.Page{Command: "check", Words: words, Error: report.OfError(&stage.UsageError{Reason: "the option is <wrong>", Hint: "leave it out"})}))
	assert.Contains(t, text, "--option is <wrong> Leave it out.")
}

// hostile is text that a guest may choose: markup, an end of what stands around it, and
// what turns the direction of the line.
const hostile = "</title></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{.}}\u202e\x1b[31m\x00\n"

// fill puts text into every string of a value, numbers into numbers, and three elements
// into every list.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(9)
	case reflect.Float64:
		v.SetFloat(1e5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Type != reflect.TypeFor[error]() && f.Type != reflect.TypeFor[*report.Picture]() {
				fill(v.Field(i), text)
			}
		}
	default:
		panic("a field of kind " + v.Kind().String() + " is new here")
	}
}

// filled is a page with all there can be, and text in every field that has any.
func filled(text string) *htmlreport.Page {
	p := &htmlreport.Page{Command: text, Version: text, Error: new(report.Error)}
	fill(reflect.ValueOf(p.Error).Elem(), text)
	for range 3 {
		f := htmlreport.File{Check: new(inspect.FileCheck), Info: new(inspect.InfoReport), Convert: new(report.Report)}
		fill(reflect.ValueOf(&f).Elem(), text)
		p.Files = append(p.Files, f)
	}
	p.Files[0].Convert, p.Files[0].Info.Triage = nil, nil
	p.Files[1].Check, p.Files[1].Convert = nil, nil
	return p
}

// Whatever the text is, in whatever field: it is shown as text, and nothing of it is
// markup.
func TestHostileText(t *testing.T) {
	t.Parallel()
	shown, plain := page(t, filled(hostile)), page(t, filled("x"))
	tags := regexp.MustCompile(`<[a-zA-Z!/]`)
	assert.Len(t, tags.FindAllString(shown, -1), len(tags.FindAllString(plain, -1)), "the tags are those of a page without")
	assert.Equal(t, 1, strings.Count(shown, "<script"))
	for _, raw := range []string{"<img", "\u202e", "\x1b", "\x00"} {
		assert.False(t, has(shown, raw), "%q", raw)
	}
	assert.True(t, has(shown, `\u202e\x1b[31m\x00\n`))
	assert.Greater(t, strings.Count(shown, `alert(2)`), 100)
}

// A page loads nothing: nothing on it names anything else but its own marks.
func TestLoadsNothing(t *testing.T) {
	t.Parallel()
	shown := page(t, filled("https://example.org/"))
	for _, m := range regexp.MustCompile(`\s(?:src|href|action|data|poster|srcset|xlink:href|style|on[a-z]+)="([^"]*)"`).FindAllStringSubmatch(shown, -1) {
		assert.True(t, strings.HasPrefix(m[1], "#"), m[0])
	}
	assert.True(t, has(shown, `content="default-src &#39;none&#39;; style-src`))
	assert.False(t, has(htmlreport.Style(), "url("))
	assert.False(t, has(htmlreport.Style(), "@import"))
}

// An empty report of each kind is a page.
func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, f := range []htmlreport.File{
		{},
		{Check: new(inspect.FileCheck)},
		{Info: new(inspect.InfoReport)},
		{Convert: new(report.Report)},
		{Check: new(inspect.FileCheck), Info: &inspect.InfoReport{Memory: inspect.MemoryMap{Picture: new(report.Picture)}}},
	} {
		text := said(page(t, &htmlreport.Page{Command: "check", Files: []htmlreport.File{f}}))
		assert.Contains(t, text, "File and machine")
	}
}

// What can't be written is an error of the writer.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, htmlreport.Render(failing{}, &htmlreport.Page{}), context.Canceled)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, context.Canceled }
