#!/bin/bash
# Installs, upgrades and purges the packages in a Debian root, which stays as it is: all changes go to a file system in memory.
#
#   in-root.sh ROOT FOLDER       FOLDER: old.deb and new.deb, node.deb if that is to be installed too, and load.mjs
set -euo pipefail
if [ "${3-}" != inside ]; then
  # Its own processes as well, so that none outlives it.
  exec unshare --mount --propagation private --pid --fork --kill-child=KILL "$0" "$1" "$2" inside
fi
root=$1 folder=$2
space=$(mktemp -d)
mount -t tmpfs tmpfs "$space"
mkdir "$space"/{upper,work,merged,debs}
mount -t overlay overlay -o "lowerdir=$root,upperdir=$space/upper,workdir=$space/work" "$space/merged"
mount -t proc proc "$space/merged/proc"
mount --rbind /dev "$space/merged/dev"
mkdir "$space/merged/debs"
# What pointsman watches is not on the overlay, whose folders change their numbers.
cp -r "$folder"/* "$space/debs/"
mount --bind "$space/debs" "$space/merged/debs"
cp /etc/resolv.conf /etc/hosts "$space/merged/etc/"
# apt's own ways to the mirror.
cp -r /etc/apt/apt.conf.d/. "$space/merged/etc/apt/apt.conf.d/"
status=0
chroot "$space/merged" /bin/bash -euo pipefail <<'INSIDE' || status=$?
export DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fail() { echo "FAILED: $*" >&2; exit 1; }
wait_for() { for _ in $(seq 600); do if eval "$1"; then return; fi; sleep 0.1; done; fail "in 60 s: $1"; }
install() { apt-get install -y -qq --no-install-recommends --allow-downgrades "$@" >/debs/apt.log 2>&1 || { cat /debs/apt.log >&2; fail "apt-get install $*"; }; }
apt-get update -qq >/dev/null 2>&1
find / -xdev \( -path /proc -o -path /dev -o -path /debs \) -prune -o -print | sort >/debs/before

node=$(ls /debs/node.deb 2>/dev/null || true)
install /debs/old.deb $node
# A cache of its user's is no file of the package.
XDG_CACHE_HOME=/debs/cache pointsman --version | grep -q '0\.1\.0' || fail "pointsman does not run"
getent passwd pointsman >/dev/null || fail "the user is missing"
[ -e /usr/share/man/man1/pointsman.1.gz ] || [ -n "$(grep -rl 'path-exclude.*man' /etc/dpkg/dpkg.cfg.d || true)" ] || fail "no man page"
bash -c '. /usr/share/bash-completion/completions/pointsman; complete -p pointsman' | grep -q _pointsman || fail "no completion"

# A balancer as its unit runs it, with what of systemd a restart takes: the unit's own signal, and another start. In /usr/bin,
# because apt gives dpkg a PATH of its own.
mkdir -p /debs/registry/instances/web /debs/state /var/lib/pointsman /var/cache/pointsman /run/systemd/system
touch /var/lib/pointsman/state
chown -R pointsman:pointsman /debs/registry /debs/state
cat >/debs/start <<'END'
#!/bin/bash
setsid setpriv --reuid pointsman --regid pointsman --clear-groups env HOME=/debs/state \
  pointsman balance --registry dir:/debs/registry --dir /debs/state/b --http 127.0.0.1:28080 --admin 127.0.0.1:28404 \
  --allow-addresses 127.0.0.0/8 --log-format json 2>>/debs/balance.log >/dev/null &
echo $! >/debs/balance.pid
END
cat >/usr/bin/deb-systemd-invoke <<'END'
#!/bin/bash
echo "$*" >>/debs/invoked
if [ "$1" = stop ]; then
  kill "$(cat /debs/balance.pid)"
  while kill -0 "$(cat /debs/balance.pid)" 2>/dev/null; do sleep 0.05; done
fi
[ "$1" = try-restart ] || exit 0
signal=$(sed -n 's/^RestartKillSignal=//p' /usr/lib/systemd/system/pointsman-balance.service)
kill -"${signal:-TERM}" "$(cat /debs/balance.pid)"
while kill -0 "$(cat /debs/balance.pid)" 2>/dev/null; do sleep 0.05; done
/debs/start
END
printf '#!/bin/sh\necho "systemctl $*" >>/debs/invoked\n' >/usr/bin/systemctl
chmod +x /debs/start /usr/bin/deb-systemd-invoke /usr/bin/systemctl
ours=/usr/lib/pointsman/lib/node
[ -x "$ours" ] || ours=node
"$ours" -e 'require("http").createServer((_, answer) => answer.end("app")).listen(28081, "127.0.0.1")' &
app=$!
/debs/start
echo 127.0.0.1:28081 >/debs/registry/instances/web/a
wait_for 'grep -q "\"event\":\"serving\"" /debs/balance.log'
mkfifo /debs/end
"$ours" /debs/load.mjs 28080 </debs/end >/debs/answers 2>&1 &
load=$!
exec 8>/debs/end
wait_for '[ -s /debs/answers ]'

install /debs/new.deb $node
grep -q '^try-restart pointsman-balance.service pointsman-containers.service$' /debs/invoked || fail "the upgrade does not restart the balancer and the agent of containers"
wait_for '[ "$(grep -c "\"event\":\"serving\"" /debs/balance.log)" -ge 2 ]'
sleep 1
exec 8>&-
wait $load || fail "the load"
tail -n 1 /debs/answers

# An HAProxy that no unit has any more, as after a crash.
mkdir -p /var/lib/pointsman/run
printf 'defaults\n  mode http\n  timeout client 1s\nfrontend f\n  bind 127.0.0.1:28090\n' >/var/lib/pointsman/haproxy.cfg
chown -R pointsman:pointsman /var/lib/pointsman
setsid setpriv --reuid pointsman --regid pointsman --clear-groups haproxy -W -S /var/lib/pointsman/run/master.sock \
  -f /var/lib/pointsman/haproxy.cfg 2>/debs/left.log >/dev/null &
orphan=$!
wait_for '[ -S /var/lib/pointsman/run/master.sock ]'

apt-get purge -y -qq pointsman pointsman-node >/debs/apt.log 2>&1 || { cat /debs/apt.log >&2; fail "purge"; }
grep -q '^stop pointsman-balance.service pointsman-stop-haproxy.service$' /debs/invoked || fail "the removal does not stop the balancer"
kill "$app"
if kill -0 "$orphan" 2>/dev/null; then fail "an HAProxy on /var/lib/pointsman runs on"; fi
if getent passwd pointsman >/dev/null; then fail "the user is left"; fi
# systemd, which is removed too if the package brought it, does not leave a machine that it seems to run.
rm -rf /run/systemd/system
apt-get autoremove -y -qq --purge >/debs/apt.log 2>&1 || { cat /debs/apt.log >&2; fail "autoremove"; }
find / -xdev \( -path /proc -o -path /dev -o -path /debs \) -prune -o -print | sort >/debs/after
comm -13 /debs/before /debs/after | grep -E 'pointsman' >/debs/left || true
if [ -s /debs/left ]; then cat /debs/left >&2; fail "the purge leaves files"; fi
INSIDE
if [ "$status" -ne 0 ]; then tail -n 20 "$space/merged/debs/balance.log" >&2 2>/dev/null || true; fi
exit "$status"
