package stack

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed modules.txt
var modulesText string

// rank says how close to the kernel a module is.
type rank int

// The ranks: a module of nobody knows whom, one of Windows' port and class drivers, and
// the kernel with what raises bug checks for others.
const (
	other rank = iota
	system
	core
)

// ranks are the words of modules.txt.
var ranks = map[string]rank{"system": system, "core": core}

// listed are the modules of modules.txt.
var listed = sync.OnceValue(func() map[string]rank {
	names := map[string]rank{}
	for line := range strings.Lines(modulesText) {
		line, _, _ = strings.Cut(line, "#")
		if word, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			names[name] = ranks[word]
		}
	}
	return names
})

// Closeness says how close to the kernel a module is, by the name of its file: 0 for one
// of nobody knows whom, 1 for one of Windows' port and class drivers, 2 for its core.
func Closeness(name string) int { return int(rankOf(name)) }

// rankOf is the rank of a module by the name of its file, in any case, with a path or
// without. A name in no list is no Windows module's.
func rankOf(name string) rank { return listed()[fileOf(name)] }

// fileOf is the file's name of a module in lower case, without a path.
func fileOf(name string) string {
	return strings.ToLower(name[strings.LastIndexAny(name, `\/`)+1:])
}

// images are the endings that debuggers leave out of a module's name.
var images = []string{".sys", ".dll", ".exe"}

// shortName is a module's name as debuggers have it.
func shortName(name string) string {
	name = name[strings.LastIndexAny(name, `\/`)+1:]
	for _, end := range images {
		if n := len(name) - len(end); n > 0 && strings.EqualFold(name[n:], end) {
			return name[:n]
		}
	}
	return name
}
