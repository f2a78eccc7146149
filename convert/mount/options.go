package mount

import "time"

// Options say how a folder is shown.
type Options struct {
	// Source is what lists of mounted file systems name.
	Source string
	// AllowOther lets all users read the files; else only the one who mounts can, and
	// not even root.
	AllowOther bool
	// ModTime is the time of the files; zero stands for now.
	ModTime time.Time
	// Mounted, when set, is called when the files are there.
	Mounted func()
	// Say, when set, is told what the user should know.
	Say func(message string)
}
