package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestExampleScripts: the shell scripts pass shellcheck, and refuse wrong calls.
func TestExampleScripts(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "shellcheck")
	scripts, err := filepath.Glob(filepath.Join(repository, "examples", "*.sh"))
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	out, err := exec.Command("shellcheck", scripts...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, script := range scripts {
		out, err = exec.Command("bash", script).CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "usage: ")
	}
}

// TestExamplesBuildOutside: each example in Go builds in a module of somebody else, as who
// copies it has one: nothing internal is needed, and nothing is fetched.
func TestExamplesBuildOutside(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	needs(t, "go")
	from, err := filepath.Abs(repository)
	require.NoError(t, err)
	programs, err := filepath.Glob(filepath.Join(from, "examples", "*", "main.go"))
	require.NoError(t, err)
	require.NotEmpty(t, programs)
	dir := t.TempDir()
	for _, program := range programs {
		example := filepath.Dir(program)
		require.NoError(t, os.CopyFS(filepath.Join(dir, filepath.Base(example)), os.DirFS(example)))
	}
	own, err := os.ReadFile(filepath.Join(from, "go.mod"))
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go .*$`).FindString(string(own)) // which go mod init writes
	module := "module example.org/outside\n\n" + version + "\n\nrequire windmp v0.0.0\n\nreplace windmp => " + strconv.Quote(from) + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600))
	cmd := exec.Command("go", "list", "-export", "./...") // compiles all, and links nothing
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off", "GOSUMDB=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Len(t, strings.Fields(string(out)), len(programs), "%s", out)
}

// TestQMPDumpRefuses: no socket, and a file that is there.
func TestQMPDumpRefuses(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "socat", "jq")
	dir := guideSession(t)
	printed, err := shell(dir, "examples/qmp-dump.sh nothing out")
	require.Error(t, err)
	assert.Contains(t, printed, "nothing is no socket")
	// A socket that nobody serves any more.
	printed, err = shell(dir, `socat UNIX-LISTEN:gone.sock,unlink-close=0 /dev/null </dev/null & p=$!
while [[ ! -S gone.sock ]]; do sleep 0.01; done; kill $p
touch there
examples/qmp-dump.sh gone.sock there || examples/qmp-dump.sh gone.sock out`)
	require.Error(t, err)
	assert.Contains(t, printed, "there exists")
	assert.NoFileExists(t, filepath.Join(dir, "out"))
}

// kubernetesObject has the fields of examples/kubernetes-convert.yaml, as
// Kubernetes' API reference spells them (v1, batch/v1, networking.k8s.io/v1).
// Decoding is strict: a misspelt field is an error here and silence there.
type kubernetesObject struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		// PersistentVolumeClaim
		AccessModes []string `yaml:"accessModes"`
		Resources   struct{ Requests map[string]string }
		// NetworkPolicy
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		PolicyTypes []string `yaml:"policyTypes"`
		// Job
		BackoffLimit *int `yaml:"backoffLimit"`
		Template     struct {
			Metadata struct{ Labels map[string]string }
			Spec     kubernetesPod
		}
	}
}

type kubernetesPod struct {
	RestartPolicy                string `yaml:"restartPolicy"`
	AutomountServiceAccountToken *bool  `yaml:"automountServiceAccountToken"`
	EnableServiceLinks           *bool  `yaml:"enableServiceLinks"`
	SecurityContext              struct {
		RunAsUser      int                   `yaml:"runAsUser"`
		RunAsGroup     int                   `yaml:"runAsGroup"`
		FSGroup        int                   `yaml:"fsGroup"`
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []struct {
		Name, Image     string
		Env             []struct{ Name, Value string }
		Args            []string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		Resources    struct{ Requests, Limits map[string]string }
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name                  string
		PersistentVolumeClaim struct {
			ClaimName string `yaml:"claimName"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"persistentVolumeClaim"`
	}
}

// kubernetesObjects decodes the example, by kind.
func kubernetesObjects(t *testing.T) map[string]kubernetesObject {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "examples", "kubernetes-convert.yaml"))
	require.NoError(t, err)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	all := map[string]kubernetesObject{}
	for {
		var o kubernetesObject
		err := dec.Decode(&o)
		if err == io.EOF { //nolint:errorlint // the decoder's contract
			return all
		}
		require.NoError(t, err)
		all[o.APIVersion+" "+o.Kind] = o
	}
}

// TestKubernetesJob holds what docs/guides/kubernetes.md says of the Job.
func TestKubernetesJob(t *testing.T) {
	t.Parallel()
	objects := kubernetesObjects(t)
	require.Len(t, objects, 3)
	job, policy, claim := objects["batch/v1 Job"].Spec, objects["networking.k8s.io/v1 NetworkPolicy"].Spec, objects["v1 PersistentVolumeClaim"]
	pod := job.Template.Spec

	// No network: the policy meets the pod, and allows nothing.
	assert.Equal(t, job.Template.Metadata.Labels, policy.PodSelector.MatchLabels)
	assert.Equal(t, []string{"Ingress", "Egress"}, policy.PolicyTypes)
	// No rights.
	assert.True(t, pod.SecurityContext.RunAsNonRoot)
	assert.NotZero(t, pod.SecurityContext.RunAsUser)
	assert.Equal(t, "RuntimeDefault", pod.SecurityContext.SeccompProfile.Type)
	require.NotNil(t, pod.AutomountServiceAccountToken)
	assert.False(t, *pod.AutomountServiceAccountToken)
	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	require.NotNil(t, c.SecurityContext.AllowPrivilegeEscalation)
	assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	assert.True(t, c.SecurityContext.ReadOnlyRootFilesystem)
	assert.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop)
	// One try, an image that nobody takes for a real one, the output's claim.
	require.NotNil(t, job.BackoffLimit)
	assert.Zero(t, *job.BackoffLimit)
	assert.Equal(t, "Never", pod.RestartPolicy)
	assert.Contains(t, c.Image, "EXAMPLE")
	require.Len(t, c.VolumeMounts, 2)
	require.Len(t, pod.Volumes, 2)
	assert.True(t, c.VolumeMounts[0].ReadOnly)
	assert.True(t, pod.Volumes[0].PersistentVolumeClaim.ReadOnly)
	assert.Equal(t, claim.Metadata.Name, pod.Volumes[1].PersistentVolumeClaim.ClaimName)
	for i, m := range c.VolumeMounts {
		assert.Equal(t, pod.Volumes[i].Name, m.Name)
	}
}

// TestKubernetesJobConverts runs the container's command line on a sample, with
// a folder for the root of the file system.
func TestKubernetesJobConverts(t *testing.T) {
	t.Parallel()
	needs(t, "bash")
	dir := guideSession(t)
	c := kubernetesObjects(t)["batch/v1 Job"].Spec.Template.Spec.Containers[0]
	require.NoError(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
	require.NoError(t, os.Symlink("testdata", filepath.Join(dir, "in")))
	command := "windmp"
	for _, arg := range c.Args {
		arg = strings.ReplaceAll(arg, "$("+c.Env[0].Name+")", "guest-bsod.vmcore")
		require.NotContains(t, arg, "$(")
		command += " " + strings.Replace(strings.TrimPrefix(arg, "/"), "=/", "=", 1)
	}
	printed, err := shell(dir, command)
	require.NoError(t, err, "%s", printed)
	require.NoError(t, validate(schemaDir, []byte(printed)))
	assert.FileExists(t, filepath.Join(dir, "out", "guest.dmp"))
	report, err := os.ReadFile(filepath.Join(dir, "out", "guest.json"))
	require.NoError(t, err)
	assert.JSONEq(t, printed, string(report))
}

// workflow is what the test needs of a GitHub workflow.
type workflow struct {
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		Steps []struct {
			Name, Uses, Run string
			Env             map[string]string
		}
	}
}

// TestGitHubWorkflow runs the scripts in the steps, but for the build.
func TestGitHubWorkflow(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "jq", "shellcheck")
	data, err := os.ReadFile(filepath.Join(repository, "examples", "github-check-dumps.yml"))
	require.NoError(t, err)
	var w workflow
	require.NoError(t, yaml.Unmarshal(data, &w))
	assert.Equal(t, map[string]string{"contents": "read"}, w.Permissions)
	script, check := "", exec.Command("shellcheck", "--shell=bash")
	for i, step := range w.Jobs["check"].Steps {
		assert.NotEqual(t, step.Uses == "", step.Run == "", "a step runs a script or uses an action")
		if step.Run == "" {
			assert.Regexp(t, `^actions/[a-z-]+@v\d+$`, step.Uses)
			continue
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint("step", i))
		require.NoError(t, os.WriteFile(path, []byte(step.Run), 0o600))
		check.Args = append(check.Args, path)
		if step.Name == "check" {
			script = step.Run
		}
	}
	require.NotEmpty(t, script)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)

	for name, tt := range map[string]struct {
		files map[string]string // sample, by the name in the checkout
		fails bool
		says  []string
	}{
		"good": {map[string]string{"a b.vmcore": "guest-bsod.vmcore", "x.dmp": "la57-1cpu.win-dmp.gz"}, false, []string{"accept\tOK\t./a b.vmcore", "accept\tWARN\t./x.dmp"}},
		"bad":  {map[string]string{"a.vmcore": "guest-bsod.vmcore", "b.vmcore": "live-2cpu-cut.vmcore.gz"}, true, []string{"reject\tFAIL\t./b.vmcore"}},
		"none": {nil, false, []string{"no dumps"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := guideSession(t)
			require.NoError(t, os.Mkdir(filepath.Join(dir, ".windmp"), 0o700))
			require.NoError(t, os.Rename(filepath.Join(dir, "examples"), filepath.Join(dir, ".windmp", "examples")))
			for file, sample := range tt.files {
				data, err := os.ReadFile(filepath.Join(dir, "testdata", sample))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o600))
			}
			printed, err := shell(dir, "export RUNNER_TEMP=$PWD/.bin GITHUB_STEP_SUMMARY=$PWD/summary REPORT=report.json MAX_SIZE="+w.Env["MAX_SIZE"]+"\n"+script)
			assert.Equal(t, tt.fails, err != nil, "%s", printed)
			summary, err := os.ReadFile(filepath.Join(dir, "summary"))
			require.NoError(t, err)
			for _, say := range tt.says {
				assert.Contains(t, string(summary), say)
			}
		})
	}
}

// TestLibraryGuide: the programs in the guide are the examples, and the first builds
// beside a checkout as the guide says.
func TestLibraryGuide(t *testing.T) {
	t.Parallel()
	var examples, shown []string
	for _, name := range []string{"library", "kernel"} {
		example, err := os.ReadFile(filepath.Join(repository, "examples", name, "main.go"))
		require.NoError(t, err)
		examples = append(examples, string(example))
	}
	var commands string
	for _, f := range fences(readDoc(t, "docs/guides/library.md")) {
		switch f.info {
		case "go":
			shown = append(shown, f.body)
		case fenceShell:
			commands = f.body
		}
	}
	assert.Equal(t, examples, shown, "docs/guides/library.md")

	needs(t, "bash", "go")
	if testing.Short() {
		t.Skip("builds a program")
	}
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	dir := t.TempDir()
	commands = strings.ReplaceAll(commands, "../windmp", root)
	printed, err := shell(dir, "export GOFLAGS=-buildvcs=false GOWORK= GOGC= GOMEMLIMIT=\n"+commands)
	require.NoError(t, err, "%s", printed)
	assert.Contains(t, printed, "OK: full dump, 894 pages\n")
	assert.FileExists(t, filepath.Join(dir, "mytool", "guest.dmp"))
}
