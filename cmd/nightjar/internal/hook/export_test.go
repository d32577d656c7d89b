package hook

var Follow = follow
