# SPDX-License-Identifier: MIT
# For the scripts of this folder, which source it: packages of Debian unpacked in a folder that goes with the script. Nothing
# is installed; apt works with lists of its own. Some scripts need bash, whichever shell they were started by.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
machine=$(dpkg --print-architecture)
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)

# unpack SUITE PACKAGE=VERSION...: below $folder/SUITE.
unpack() {
	local suite=$1 apt=$folder/apt-$1
	shift
	mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/debs" "$folder/$suite"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$apt/list"
	local options="-o Dir::Etc::SourceList=$apt/list -o Dir::Etc::SourceParts=/dev/null -o Dir::State=$apt
		-o Dir::State::status=/dev/null -o Dir::Cache=$apt -o APT::Sandbox::User=root -o APT::Architecture=$machine"
	# shellcheck disable=SC2086
	(cd "$apt/debs" && apt-get $options -q update && apt-get $options -q download "$@") >"$apt/log" 2>&1 || {
		cat "$apt/log" >&2
		echo "cannot get $*" >&2
		exit 2
	}
	for deb in "$apt"/debs/*.deb; do dpkg -x "$deb" "$folder/$suite"; done
	echo "$suite: $*"
}

# compile FILE.c PROGRAM [-lNAME...]: by the tiny C compiler of bookworm, against the system's C library and the named ones of what
# was unpacked.
compile() {
	local source=$1 program=$2
	shift 2
	[ -e "$folder/bookworm/usr/bin/tcc" ] || unpack bookworm tcc=0.9.27+git20200814.62c30a4a-1
	"$folder/bookworm/usr/bin/tcc" -B"$folder/bookworm/usr/lib/$triplet/tcc" -I"$folder/bookworm/usr/include" \
		-I"$folder/bookworm/usr/include/$triplet" -L"$folder/bookworm/usr/lib/$triplet" -o "$program" "$source" "$@" -lpthread -lrt
}

# use_go: Go's compiler and library; "$GOROOT/bin/go". Programs go to $folder/p.
use_go() {
	unpack bookworm golang-1.19-go=1.19.8-2 golang-1.19-src=1.19.8-2
	export GOROOT=$folder/bookworm/usr/lib/go-1.19 GOCACHE=$folder/cache GOPATH=$folder/path GOFLAGS=-mod=mod CGO_ENABLED=0 HOME=$folder
	mkdir "$folder/p"
}

# use_openssl: OpenSSL's library, and a server's certificate for localhost in $folder/key.pem and $folder/cert.pem.
use_openssl() {
	unpack bookworm libssl3=3.0.20-1~deb12u2 libssl-dev=3.0.20-1~deb12u2 openssl=3.0.20-1~deb12u2
	export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
	"$folder/bookworm/usr/bin/openssl" req -x509 -newkey rsa:2048 -nodes -keyout "$folder/key.pem" -out "$folder/cert.pem" -days 2 \
		-subj /CN=localhost -config /dev/null -addext basicConstraints=CA:TRUE >"$folder/log" 2>&1 || { cat "$folder/log"; exit 2; }
}

# saw TEXT EXPECTED: prints it, and fails where it is not what was seen when the script was written.
saw() {
	echo "saw: $1"
	[ "$1" = "$2" ] || {
		echo "CHANGED: was: $2"
		exit 1
	}
}

echo "kernel $(uname -r), C library $(ldd --version | head -1 | grep -o '[0-9.]*$')"
