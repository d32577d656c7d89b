// Package replicas makes replicas, compares them with their sources, and promotes them.
package replicas
