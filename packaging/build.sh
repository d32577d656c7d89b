#!/bin/sh
# build.sh DIR ARCH... makes of these sources, for each architecture, the static binary DIR/nightjar-VERSION-ARCH and the Debian package
# DIR/nightjar_VERSION-1_ARCH.deb. The same sources, VERSION and SOURCE_DATE_EPOCH give the same bytes, wherever and whenever. Both are those of the last commit
# if they are not set; NFPM is the program that packs.
set -eu
umask 022
export LC_ALL=C TZ=UTC
mkdir -p "$1"
out=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
NFPM=$(realpath "${NFPM:-.bin/nfpm}")
go=${GO:-go}

# 1.2.3 of the tag v1.2.3, 1.2.3+4.gabcdef0 four commits later, and 0.0.0+git20260131.abcdef0 before the first tag.
describe() {
	if tag=$(git describe --tags --match 'v[0-9]*' --dirty=.dirty 2>/dev/null); then
		echo "${tag#v}" | sed 's/-\([0-9]*\)-g/+\1.g/'
	else
		echo "0.0.0+git$(git log -1 --format=%cd --date=format:%Y%m%d).$(git describe --always --exclude '*' --dirty=.dirty)"
	fi
}
VERSION=${VERSION:-$(describe)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
case $VERSION in
[0-9]*) ;;
*) echo "version \"$VERSION\" does not begin with a digit: set VERSION" >&2; exit 1 ;;
esac
MAINTAINER=${MAINTAINER:-nightjar maintainers <nightjar@localhost>}
export VERSION SOURCE_DATE_EPOCH MAINTAINER

# Flags of whoever builds would make other bytes.
unset GOAMD64 GOARM64 GOEXPERIMENT
export CGO_ENABLED=0 GOOS=linux GOFLAGS="-trimpath -buildvcs=false -mod=readonly"

# binary ARCH FILE
binary() {
	GOARCH=$1 "$go" build -ldflags "-s -w -buildid= -X nightjar/cmd/nightjar/internal/app.stamped=$VERSION" -o "$2" ./cmd/nightjar
}

# licences ARCH prints what is compiled into the program, with the texts of its licences: those of each module, and of folders in it that what is compiled lies in.
licences() {
	echo "This is nightjar $VERSION. Its sources came without a file that grants a licence."
	echo "Compiled into it are Go and these modules, each under the licence that follows it."
	GOARCH=$1 "$go" list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}} {{$.Dir}}{{end}}{{end}}' ./cmd/nightjar | sort -u | {
		echo "go $("$go" env GOVERSION) $("$go" env GOROOT) $("$go" env GOROOT)"
		cat
	} | while read -r module version top dir; do
		while :; do
			echo "$module $version $top $dir"
			[ "$dir" != "$top" ] || break
			dir=${dir%/*}
		done
	done | sort -u | while read -r module version top dir; do
		found=
		for file in "$dir"/LICEN[CS]E* "$dir"/COPYING* "$dir"/UNLICEN[CS]E* "$dir"/NOTICE* "$dir"/PATENTS*; do
			[ -f "$file" ] || continue
			[ -n "$found" ] || printf '\n=== %s %s\n\n' "$module${dir#"$top"}" "$version"
			found=yes
			cat "$file"
		done
		[ -n "$found" ] || [ "$dir" != "$top" ] || { echo "no licence of $module in $dir" >&2; exit 1; }
	done
}

# package ARCH
package() {
	work=$(mktemp -d "$out/package.XXXXXX")
	root=$work/root doc=$work/root/usr/share/doc/nightjar
	mkdir -p "$root/usr/bin" "$root/usr/lib/systemd/system" "$doc" "$root/usr/share/bash-completion/completions" \
		"$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d" "$root/usr/share/man/man1" "$root/usr/share/lintian/overrides"
	binary "$1" "$root/usr/bin/nightjar"
	"$host" man "$root/usr/share/man/man1"
	"$host" completion bash >"$root/usr/share/bash-completion/completions/nightjar"
	"$host" completion zsh >"$root/usr/share/zsh/vendor-completions/_nightjar"
	"$host" completion fish >"$root/usr/share/fish/vendor_completions.d/nightjar.fish"
	cp packaging/nightjar.service packaging/nightjar.timer "$root/usr/lib/systemd/system"
	cp packaging/lintian-overrides "$root/usr/share/lintian/overrides/nightjar"
	cp README.md "$doc"
	cp -R doc "$doc"
	cp CHANGELOG.md "$doc/changelog"
	printf 'nightjar (%s-1) unstable; urgency=medium\n\n  * What is new is in changelog.gz.\n\n -- %s  %s\n' "$VERSION" "$MAINTAINER" "$(date -R -d "@$SOURCE_DATE_EPOCH")" >"$doc/changelog.Debian"
	licences "$1" >"$doc/copyright"
	gzip -9n "$doc/changelog" "$doc/changelog.Debian" "$root"/usr/share/man/man1/*
	find "$root" -type f -exec chmod 644 {} + -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
	chmod 755 "$root/usr/bin/nightjar"
	find "$root" -type d -exec chmod 755 {} + -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
	cp packaging/nfpm.yaml packaging/nightjar.toml packaging/postinst packaging/prerm packaging/postrm "$work"
	chmod 755 "$work"/p*
	touch -d "@$SOURCE_DATE_EPOCH" "$work"/*
	(cd "$work" && ARCH=$1 "$NFPM" package --packager deb --target "$out/nightjar_$VERSION-1_$1.deb" >/dev/null)
	cp "$root/usr/bin/nightjar" "$out/nightjar-$VERSION-$1"
	rm -rf "$work"
}

host=$out/nightjar.host
trap 'rm -rf "$host" "$out"/package.*' EXIT
binary "$("$go" env GOHOSTARCH)" "$host"
for arch; do
	package "$arch"
done
