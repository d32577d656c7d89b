package choose

// Dotted reports whether a pattern has a dot that stands for itself.
func Dotted(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '.':
			return true
		}
	}
	return false
}
