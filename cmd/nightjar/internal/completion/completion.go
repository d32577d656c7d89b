// Package completion has what makes shells complete command lines of nightjar. It is not what cobra makes: that has the shell evaluate the words that are
// typed, names of files in archives among them, which others chose.
package completion

import (
	"embed"
	"fmt"
)

// Shells are those that there is a script for.
var Shells = []string{"bash", "zsh", "fish"}

//go:embed nightjar.bash nightjar.zsh nightjar.fish
var scripts embed.FS

// Script returns what one of the Shells reads. It asks the program, by cobra's hidden command __complete, with the words as the program would get them.
func Script(shell string) string {
	text, err := scripts.ReadFile("nightjar." + shell)
	if err != nil {
		panic(fmt.Sprintf("no completion for %q", shell))
	}
	return string(text)
}
