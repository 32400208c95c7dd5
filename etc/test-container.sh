#!/bin/sh
# As root, on Debian: build the image of the Dockerfile with buildah and run it with podman as compose.yaml does, without privileges
# and with a root that can't be written. The base is a fresh Debian root with its own python3, since images can't be pulled everywhere.
# Where neither can work, etc/test-root.sh does the same steps without containers.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:?usage: test-container.sh FOLDER [SUITE]}
suite=${2:-bookworm}
if [ -z "${MAILSTACK_TEST_NAMESPACE:-}" ]; then
  if command -v docker-compose >/dev/null; then
    /usr/bin/python3 "$here/etc/test-compose.py"
  else
    echo "no docker-compose here: the compose files are not looked at"
  fi
fi
if ! command -v buildah >/dev/null || ! command -v podman >/dev/null; then
  echo "no buildah or podman here: the same steps in a Debian root, without a container"
  exec sh "$here/etc/test-root.sh" "$folder/root" "$suite"
fi
if [ -z "${MAILSTACK_TEST_NAMESPACE:-}" ]; then
  MAILSTACK_TEST_NAMESPACE=1 exec unshare --mount --propagation private sh "$0" "$@"
fi
# crun knows one kind of control groups; inside this namespace there is no other.
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup

storage="--storage-driver vfs --root $folder/storage --runroot $folder/run"
buildah="buildah $storage"
podman="podman --log-level fatal $storage"
work=$(mktemp -d)
cleanup() {
  $podman rm --all --force --time 0 >/dev/null 2>&1 || true
  [ -n "${MAILSTACK_TEST_KEEP:-}" ] || $buildah rmi --all --force >/dev/null 2>&1 || true
  [ -n "${MAILSTACK_TEST_KEEP:-}" ] || rm -rf "$work" "$folder/storage" "$folder/run"
}
trap cleanup EXIT
mkdir -p "$folder"

# The base: what slim images leave out of Debian is left out here, too.
root=$folder/root
if [ ! -x "$root/usr/bin/python3" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" >/dev/null
fi
tar -C "$root" --exclude ./usr/share/doc --exclude ./usr/share/man --exclude ./usr/share/locale --exclude './var/cache/apt/*' \
  --exclude './var/lib/apt/lists/*' --exclude './proc/*' --exclude './sys/*' --exclude './dev/*' -cf "$work/base.tar" .
base=$($buildah from scratch)
$buildah add -q "$base" "$work/base.tar" / >/dev/null
$buildah commit -q --rm "$base" mailstack-base >/dev/null
rm "$work/base.tar"
if ! $podman run --rm --cgroups disabled --ulimit nofile=8192:8192 --ulimit nproc=1000:1000 --network none --cap-drop all \
  mailstack-base true >"$work/log" 2>&1; then
  echo "podman can't run anything here ($(tail -1 "$work/log")): the same steps in a Debian root, without a container"
  sh "$here/etc/test-root.sh" "$root" "$suite"
  exit
fi

# The registry as this machine reaches it.
reach=
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
  [ ! -e "$file" ] || reach="$reach --volume $file:$file:ro"
done
# shellcheck disable=SC2086
$buildah bud -q --format docker --isolation chroot --network host $reach --build-arg BASE=localhost/mailstack-base -f "$here/Dockerfile" \
  -t mailstack "$here" >"$work/build" 2>&1 || { tail -40 "$work/build"; exit 1; }

# Its size, as it goes over the network.
size() {
  $buildah push -q "$1" "oci-archive:$work/image.tar" >/dev/null
  mkdir "$work/image" && tar -C "$work/image" -xf "$work/image.tar"
  du -bc "$work"/image/blobs/sha256/* | tail -1 | cut -f1
  rm -rf "$work/image" "$work/image.tar"
}
whole=$(size mailstack) && of_base=$(size mailstack-base)
echo "image: $((whole / 1000000)) MB compressed, of which the program and its libraries are $(((whole - of_base) / 1000000)) MB"
[ "$whole" -lt 100000000 ]

# What runs has a network of its own, and changes nothing of this machine's.
unshare --net sh "$here/etc/test-container-run.sh" "$podman" "$work"
