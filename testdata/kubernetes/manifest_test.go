package kubernetes

import (
	"bytes"
	"os"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// Each document of the examples is an object of Kubernetes' own types, without a field
// that they do not have.
func TestExamples(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for _, name := range []string{"kubernetes-convert.yaml", "kubernetes-fleet.yaml"} {
		data, err := os.ReadFile("../../examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]runtime.Object{}
		for _, document := range bytes.Split(data, []byte("\n---\n")) {
			object, kind, err := strict.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kinds[kind.Kind] = object
		}
		job, ok := kinds["Job"].(*batchv1.Job)
		if !ok {
			t.Fatalf("%s has no job", name)
		}
		if name != "kubernetes-fleet.yaml" {
			continue
		}
		if *job.Spec.CompletionMode != batchv1.IndexedCompletion || *job.Spec.BackoffLimitPerIndex < 1 || *job.Spec.Completions < 1 {
			t.Errorf("%s: %+v", name, job.Spec)
		}
		if rule := job.Spec.PodFailurePolicy.Rules[0]; rule.Action != batchv1.PodFailurePolicyActionFailIndex || rule.OnExitCodes.Operator != batchv1.PodFailurePolicyOnExitCodesOpIn {
			t.Errorf("%s: %+v", name, rule)
		}
	}
}
