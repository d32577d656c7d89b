package main

import "nightjar/repo"

func texts(list []string) []repo.Text {
	var out []repo.Text
	for _, s := range list {
		out = append(out, repo.Text(s))
	}
	return out
}
