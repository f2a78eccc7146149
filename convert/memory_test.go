package convert_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/qemutest"
	"windmp/internal/testheap"
)

// inMemory converts an input into a dump in memory, nil after an error: the stages of a
// conversion, without the files and the digest, which are two thirds of a small one. What
// is about files calls [convert.File].
func inMemory(t *testing.T, in source.Input, opt convert.Options) ([]byte, *report.Report, error) {
	t.Helper()
	dmp := new(bytes.Buffer)
	var failed error
	opt.DryRun = true
	opt.Examined = func(_ *guest.Guest, p *plan.Plan) {
		if p == nil || p.Layout() == nil { // refused before it was whole
			return
		}
		dmp = bytes.NewBuffer(testheap.Bytes(t, int(p.Layout().Size()))[:0])
		failed = convert.Write(t.Context(), p, dmp, opt.Write)
	}
	r, err := convert.Stream(t.Context(), in, nil, opt)
	if err != nil {
		return nil, r, err
	}
	require.NoError(t, failed)
	return dmp.Bytes(), r, nil
}

// fileOf is a file in memory.
func fileOf(name string, b []byte) source.Input {
	return source.Reader(name, bytes.NewReader(b), int64(len(b)))
}

// sampleInput is an unpacked sample in memory.
func sampleInput(tb testing.TB, name string) source.Input {
	tb.Helper()
	return fileOf(name, qemutest.Unpacked(tb, name))
}

// convertBytes converts an image that is in memory.
func convertBytes(t *testing.T, file []byte, opt convert.Options) ([]byte, *report.Report, error) {
	t.Helper()
	return inMemory(t, fileOf("image", file), opt)
}

// convertFile converts a file, with those beside it, into a dump in memory.
func convertFile(t *testing.T, in string) ([]byte, *report.Report) {
	t.Helper()
	dmp, r, err := inMemory(t, source.File(in), convert.Options{})
	require.NoError(t, err)
	return dmp, r
}
