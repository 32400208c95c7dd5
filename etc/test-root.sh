#!/bin/sh
# As root: build the program in a fresh Debian root with that root's own python3, and run the demo there on loopback until it
# proves itself. It stands in for `docker build`, where no base image can be pulled: the Dockerfile runs the same etc/build.sh.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=${1:?usage: test-root.sh FOLDER [SUITE]}
suite=${2:-bookworm}
if [ ! -x "$root/usr/bin/python3" ]; then
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" >/dev/null
fi
cleanup() {
  [ -z "${demo:-}" ] || kill "$demo" 2>/dev/null || true
  [ -z "${demo:-}" ] || wait "$demo" || true
  umount "$root/proc" "$root/dev" 2>/dev/null || true
}
trap cleanup EXIT
rm -rf "$root/src" "$root/opt/mailstack" "$root/var/lib/mailstack"
mkdir -p "$root/src" "$root/var/lib/mailstack"
for file in mailstack etc pyproject.toml requirements.lock README.md LICENSE; do cp -r "$here/$file" "$root/src/"; done
# The registry as this machine reaches it.
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
  [ ! -e "$file" ] || { mkdir -p "$root$(dirname "$file")"; cp -L "$file" "$root$file"; }
done
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
chroot "$root" sh /src/etc/build.sh /opt/mailstack
rm -rf "$root/src"
chroot "$root" id mailstack >/dev/null 2>&1 || chroot "$root" useradd --system --uid 950 --home-dir /var/lib/mailstack mailstack
chown 950:950 "$root/var/lib/mailstack"
log=$(mktemp)
chroot --userspec=950:950 "$root" /opt/mailstack/bin/mailstack demo --data /var/lib/mailstack >"$log" 2>&1 &
demo=$!
for _ in $(seq 120); do
  if grep -q "Everything works" "$log"; then
    chroot --userspec=950:950 "$root" /opt/mailstack/bin/mailstack -c /var/lib/mailstack/mailstack.toml health
    kill "$demo"
    wait "$demo"
    demo=
    [ -z "$(find "$root/var/lib/mailstack" ! -user 950)" ]
    echo "built, started, proved and stopped in a $suite root"
    exit 0
  fi
  kill -0 "$demo" 2>/dev/null || break
  sleep 1
done
cat "$log"
exit 1
