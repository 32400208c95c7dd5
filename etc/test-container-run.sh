#!/bin/sh
# The second half of etc/test-container.sh: run the image as compose.yaml and compose.host.yaml do, without privileges and with a root
# that can't be written: the trial behind NAT, then a real server on the host's network with its secrets in files.
set -eu
podman=${1:?usage: test-container-run.sh PODMAN FOLDER}
work=${2:?}
ip link set lo up

say() { echo "$name: $*"; }
fail() {
  say "$*"
  $podman logs "$name" 2>&1 | tail -40
  exit 1
}

# A container with nothing that compose.yaml does not give it.
locked="--cgroups disabled --ulimit nofile=8192:8192 --ulimit nproc=1000:1000 --read-only --read-only-tmpfs=false
  --tmpfs /tmp:size=64m,mode=1777 --cap-drop all --security-opt no-new-privileges"
until_says() { # NAME WORDS
  for _ in $(seq 120); do
    $podman logs "$1" >"$work/log" 2>&1 || true
    ! grep -q "$2" "$work/log" || return 0
    [ "$($podman inspect --format '{{.State.Running}}' "$1")" = true ] || break
    sleep 0.5
  done
  fail "it did not say: $2"
}
stops() { # NAME
  begun=$(date +%s%N)
  $podman stop --time 15 "$1" >/dev/null
  took=$((($(date +%s%N) - begun) / 1000000))
  code=$($podman inspect --format '{{.State.ExitCode}}' "$1")
  [ "$code" = 0 ] && [ "$took" -lt 12000 ] || fail "it ended with $code after $took ms"
  say "SIGTERM, exit 0 after $took ms"
}

# 1. The trial behind the runtime's NAT, its ports published.
name=trial
begun=$(date +%s%N)
# shellcheck disable=SC2086
$podman run -d --name trial $locked --sysctl net.ipv4.ip_unprivileged_port_start=0 -p 127.0.0.1:10025:25 \
  --volume trial:/var/lib/mailstack mailstack >/dev/null
until_says trial "Everything works"
say "started and proved itself in $((($(date +%s%N) - begun) / 1000000)) ms, read-only, without privileges"
[ "$($podman exec trial id -u)" = 950 ] || fail "it runs as somebody else"
! $podman exec trial touch /opt/mailstack/x 2>/dev/null || fail "its root can be written"
begun=$(date +%s%N)
$podman healthcheck run trial || fail "the health check of the image says no"
say "health takes $((($(date +%s%N) - begun) / 1000000)) ms"
python3 - <<'END' || fail "mail through the published port"
import smtplib
for number in range(3):
    with smtplib.SMTP("127.0.0.1", 10025, f"mx{number}.example.net", timeout=20) as client:
        client.sendmail(f"a@d{number}.example.net", "alice@home.test", f"Subject: {number}\r\n\r\nHello.\r\n")
END
$podman exec trial mailstack check >"$work/nat" 2>/dev/null || true
grep -q "network_mode: host" "$work/nat" || fail "a masked client address goes unnoticed"
say "mailstack check tells of the NAT"
stops trial
$podman start trial >/dev/null
for _ in $(seq 60); do ! $podman exec trial mailstack health >/dev/null 2>&1 || break; sleep 0.5; done
[ "$($podman exec trial mailstack user list --json | grep -c '"address"')" = 2 ] || fail "the accounts are gone"
stops trial

# 2. A real server from the first start on, secrets from files, on a host's network that lets programs use its mail ports.
name=host
printf 'a long enough secret\n' >"$work/secret"
chmod 644 "$work/secret"
echo 25 >/proc/sys/net/ipv4/ip_unprivileged_port_start
# shellcheck disable=SC2086
$podman run -d --name host $locked --network host --volume host:/var/lib/mailstack \
  --volume "$work/secret:/run/secrets/first_password:ro" --env MAILSTACK_FIRST_ACCOUNT=you@example.org \
  --env MAILSTACK_FIRST_PASSWORD_FILE=/run/secrets/first_password --env MAILSTACK_LOG__FORMAT=json mailstack >/dev/null
until_says host '"ready"'
$podman exec host mailstack health || fail "health says no on the host's network"
$podman exec -i host /opt/mailstack/bin/python - <<'END' || fail "the first account's password is not the secret's"
import imaplib, ssl
context = ssl._create_unverified_context()
imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=context).login("you@example.org", "a long enough secret")
END
say "first account and password from the environment, on the host's network"
stops host
echo "built, measured, run and stopped"
