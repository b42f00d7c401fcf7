#!/bin/sh
# install.sh BUILD DESTDIR PREFIX - put programs, manuals and the example config in their places.
# An existing configuration is never touched.
set -eu
build=$1 dest=$2 prefix=$3
etc=/etc
[ "$prefix" = /usr ] || [ "$prefix" = /usr/local ] || etc=$prefix/etc
install -d "$dest$prefix/bin" "$dest$prefix/sbin" "$dest$prefix/share/man/man1" \
    "$dest$prefix/share/man/man5" "$dest$prefix/share/man/man8" \
    "$dest$prefix/share/doc/sluice/examples" "$dest$etc/sluice"
install -m 755 "$build/sluice" "$build/sluice-control" "$dest$prefix/sbin/"
install -m 755 "$build/sluicectl" "$dest$prefix/bin/"
install -m 644 control/ctl/sluicectl.1 "$dest$prefix/share/man/man1/"
install -m 644 config/sluice.jsonc.5 control/rollout/sluice-rollout.5 "$dest$prefix/share/man/man5/"
install -m 644 proxy/proc/sluice.8 "$dest$prefix/share/man/man8/"
install -m 644 README.md CHANGELOG.md LICENSE "$dest$prefix/share/doc/sluice/"
install -m 644 config/examples/*.jsonc "$dest$prefix/share/doc/sluice/examples/"
[ -e "$dest$etc/sluice/sluice.jsonc" ] ||
    install -m 640 config/examples/minimal.jsonc "$dest$etc/sluice/sluice.jsonc"
if [ -d "${dest}/lib/systemd/system" ] || [ -n "$dest" ]; then
    install -d "$dest/lib/systemd/system"
    sed "s|@sbin@|$prefix/sbin|" scripts/sluice.service >"$dest/lib/systemd/system/sluice.service"
fi
