package main

import (
	"bytes"
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"windmp/convert/exitcode"
	"windmp/internal/webtest"
)

// fleetObject has what the test needs of examples/kubernetes-fleet.yaml.
type fleetObject struct {
	Kind string
	Data map[string]string
	Spec struct {
		PodFailurePolicy struct {
			Rules []struct {
				OnExitCodes struct{ Values []int } `yaml:"onExitCodes"`
			}
		} `yaml:"podFailurePolicy"`
		Template struct {
			Spec struct {
				Containers []struct {
					Command []string
					Env     []struct{ Name, Value string }
				}
			}
		}
	}
}

// A fleet runs the container of examples/kubernetes-fleet.yaml, with a folder for the
// root of its file system.
type fleet struct {
	dir     string
	command []string
	env     []string
	final   []int // exit codes that the Job does not try again
	// programs is the folder of those that there are beside windmp, empty for all of this
	// machine.
	programs string
}

func newFleet(t *testing.T, urls []string) *fleet {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "examples", "kubernetes-fleet.yaml"))
	require.NoError(t, err)
	f := &fleet{dir: guideSession(t)}
	for _, folder := range []string{"fleet/script", "fleet/list", "out", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(f.dir, folder), 0o700))
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var o fleetObject
		if dec.Decode(&o) != nil {
			break
		}
		switch o.Kind {
		case "ConfigMap":
			for name, text := range o.Data {
				require.NoError(t, os.WriteFile(filepath.Join(f.dir, "fleet", "script", name), []byte(text), 0o600))
			}
		case "Job":
			c := o.Spec.Template.Spec.Containers[0]
			for _, arg := range c.Command {
				f.command = append(f.command, f.inside(arg))
			}
			for _, e := range c.Env {
				f.env = append(f.env, e.Name+"="+f.inside(e.Value))
			}
			f.final = o.Spec.PodFailurePolicy.Rules[0].OnExitCodes.Values
		}
	}
	require.NotEmpty(t, f.command)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "fleet", "list", "urls"), []byte(strings.Join(urls, "\n")+"\n"), 0o600))
	return f
}

// inside is an absolute path of the container.
func (f *fleet) inside(path string) string {
	if strings.HasPrefix(path, "/") {
		return filepath.Join(f.dir, path)
	}
	return path
}

// run is one pod: it returns its log and its exit code.
func (f *fleet) run(t *testing.T, index int) (string, int) {
	t.Helper()
	cmd := exec.Command(f.command[0], f.command[1:]...)
	cmd.Env = processEnv(f.env...)
	cmd.Env = append(cmd.Env, "JOB_COMPLETION_INDEX="+strconv.Itoa(index), "PATH="+filepath.Join(f.dir, ".bin")+":"+cmp.Or(f.programs, os.Getenv("PATH")))
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.NotNil(t, cmd.ProcessState, "%v", err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// fleetShells are those that the container may have: the one of this machine, and busybox with
// nothing but its own programs beside it.
var fleetShells = map[string]func(t *testing.T, f *fleet){
	"sh": func(*testing.T, *fleet) {},
	"busybox": func(t *testing.T, f *fleet) {
		t.Helper()
		needs(t, "busybox")
		programs := filepath.Join(f.dir, "busybox")
		require.NoError(t, os.Mkdir(programs, 0o700))
		out, err := exec.Command("busybox", "--install", "-s", programs).CombinedOutput()
		require.NoError(t, err, "%s", out)
		f.command[0] = filepath.Join(programs, f.command[0])
		f.programs = programs
	},
}

// TestFleet: a Job over a list of URLs of an object store makes a small dump and a report
// of each, goes on after failures, ends with a table, and does nothing twice.
func TestFleet(t *testing.T) {
	t.Parallel()
	needs(t, "sh", "sed")
	s := webtest.ObjectStore(t, t.TempDir())
	p := webtest.Front(t, s)
	for name, prepare := range fleetShells {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one proxy
			var urls []string
			for _, key := range []string{"vm-1.vmcore", "vm-2.vmcore.gz", "readme", "late.vmcore"} {
				urls = append(urls, p.Of(s.Presigned(http.MethodGet, name+"/"+key, time.Hour)))
			}
			f := newFleet(t, urls)
			prepare(t, f)
			runFleet(t, f, p, func(key, sample string) {
				b, err := os.ReadFile(filepath.Join(repository, sample))
				require.NoError(t, err)
				s.Put(t, name+"/"+key, b)
			})
		})
	}
}

// runFleet runs the pods of a Job, of which two have a memory image, one has something
// else, and one is there later.
func runFleet(t *testing.T, f *fleet, p *webtest.Proxy, put func(key, sample string)) {
	t.Helper()
	put("vm-1.vmcore", "testdata/guest-bsod.vmcore")
	put("vm-2.vmcore.gz", "testdata/bsod-4cpu-q35.vmcore.gz")
	put("readme", "README.md")
	want := []int{exitcode.Done, exitcode.Done, exitcode.Unsupported, exitcode.Failed}
	assert.Contains(t, f.final, exitcode.Unsupported)
	assert.NotContains(t, f.final, exitcode.Failed, "which is tried again")
	var log string
	for i, code := range want {
		var got int
		log, got = f.run(t, i)
		require.Equal(t, code, got, log)
	}
	table, err := os.ReadFile(filepath.Join(f.dir, "out", "table.txt"))
	require.NoError(t, err)
	t.Log("\n" + string(table))
	assert.True(t, strings.HasSuffix(log, string(table)))
	rows := strings.Split(strings.TrimSpace(string(table)), "\n")
	require.Len(t, rows, len(want)+1)
	for i, row := range []string{
		"0      OK       0     vm-1.vmcore ", "1      OK       0     vm-2.vmcore.gz ", "2      UNKNOWN  4     readme ", "3      UNKNOWN  1     late.vmcore ",
	} {
		assert.True(t, strings.HasPrefix(rows[i+1], row), rows[i+1])
	}
	assert.Contains(t, rows[1], "0x7e_c0000005!testdrv+0x1234")
	assert.Contains(t, rows[4], "404")
	assert.NotContains(t, log, "X-Amz")

	// A restart asks for nothing that is settled, and tries again what is not.
	p.Fail(nil)
	for i, code := range want[:3] {
		_, got := f.run(t, i)
		assert.Equal(t, code, got)
	}
	assert.Zero(t, p.Requests.Load())
	put("late.vmcore", "testdata/guest-bsod.vmcore")
	log, got := f.run(t, 3)
	require.Equal(t, exitcode.Done, got, log)
	assert.Contains(t, log, "3      OK       0     late.vmcore ")
	for _, name := range []string{"00000", "00001", "00003"} {
		assert.FileExists(t, filepath.Join(f.dir, "out", name+".dmp"))
		report, err := os.ReadFile(filepath.Join(f.dir, "out", name+".json"))
		require.NoError(t, err)
		require.NoError(t, validate(schemaDir, report))
		assert.NotContains(t, string(report), "X-Amz")
	}
	left, err := filepath.Glob(filepath.Join(f.dir, "tmp", "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestKubernetesTypes decodes the examples strictly into the API's own types.
func TestKubernetesTypes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: NOT decoding the examples into Kubernetes' types")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("NOT decoding the examples into Kubernetes' types: ", err)
	}
	cmd := exec.Command("go", "test", "./...")
	cmd.Dir = filepath.Join(repository, "testdata", "kubernetes")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
