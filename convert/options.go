package convert

// Options steer a conversion, by what they are about.
type Options struct {
	Source SourceOptions
	Guest  GuestOptions
	Plan   PlanOptions
	Write  WriteOptions
	// DryRun stops after the plan: nothing is created.
	DryRun bool
	// Progress, when set, is called from one goroutine at a time: when a stage
	// begins, where it counts bytes about ten times a second, and at its end. It
	// stands for those of the parts.
	Progress func(Progress)
}
