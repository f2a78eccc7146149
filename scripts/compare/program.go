//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program returns the path of the windmp that name says: a program's path, or a
// commit, which is built.
func program(ctx context.Context, work, name string) (string, error) {
	if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
		return filepath.Abs(name)
	}
	tree, err := os.MkdirTemp(work, "tree")
	if err != nil {
		return "", err
	}
	if err := command(ctx, ".", "git", "worktree", "add", "--quiet", "--detach", tree, name); err != nil {
		return "", fmt.Errorf("%s is neither a program nor a commit: %w", name, err)
	}
	defer func() { _ = command(context.WithoutCancel(ctx), ".", "git", "worktree", "remove", "--force", tree) }()
	path := tree + ".windmp"
	return path, command(ctx, tree, "go", "build", "-buildvcs=false", "-o", path, "./cmd/windmp")
}

// command runs a program in a folder; its output is part of the error.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}
