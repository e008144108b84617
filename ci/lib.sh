# SPDX-License-Identifier: BSD-2-Clause
# Shell functions of ./check and ./quickstart: packages and the build.
# Both run in the top directory and have set -eu.

# missing_packages GROUP...: names of the packages that are not installed.
missing_packages() {
	for group; do
		for p in $(sed -n "s/^$group: //p" ci/packages); do
			[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" \
			    2>/dev/null)" = installed ] || echo "$p"
		done
	done
}

# install_packages GROUP...: installs what is missing, as root; then a build
# that was configured without it is configured anew.
reconfigure=0
install_packages() {
	command -v dpkg-query >/dev/null || return 0
	list=$(missing_packages "$@" | sort -u | tr '\n' ' ')
	[ -n "$list" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "as root: apt-get install $list" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update
	# shellcheck disable=SC2086
	apt-get -q -y install --no-install-recommends $list
	reconfigure=1
}

# fetch_packages DIR: those that guests are made of, as files.
fetch_packages() {
	command -v apt-get >/dev/null || return 0
	# shellcheck disable=SC2046
	guest/fetch.sh "$1" $(sed -n 's/^unpacked: //p' ci/packages)
}

# build_tree DIR [CONFIGURE ARGUMENT]...: configures and makes out of tree.
build_tree() {
	build_dir=$1
	shift
	[ configure -nt configure.ac ] || autoreconf -fi
	mkdir -p "$build_dir"
	[ -f "$build_dir/Makefile" ] && [ $reconfigure = 0 ] ||
	    (cd "$build_dir" && ../configure -q "$@")
	make -C "$build_dir" -j"$(nproc)" all
}
