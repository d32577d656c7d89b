//go:build !race

package simulate

// few schedules take some half a minute.
const few = 120
