# The first hour of somebody who has Debian, Go and a clone of this repository, and nothing
# else: the commands of the README, in its order. It runs in the clone; its argument is
# how the tests of the clone are run, "all" or "none". What it prints last is "done".
set -eu

step() { printf 'step %s %s\n' "$(date +%s)" "$*"; }

# expect CODE COMMAND... runs a command that must end with this exit code.
expect() {
	want=$1 code=0
	shift
	"$@" >"$HOME/out" 2>&1 || code=$?
	printf '$ %s  # exit code %s\n' "$*" "$code"
	cat "$HOME/out"
	[ "$code" = "$want" ] || { echo "FAILED: exit code $code, want $want"; exit 1; }
}

# until_true COMMAND... waits for a command to succeed; a minute is enough for all of them.
until_true() {
	tries=0
	until "$@" >"$HOME/out" 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "FAILED: still not after a minute: $*"; cat "$HOME/out" run.log; exit 1; }
		sleep 0.2
	done
}

judged() { "$clone/flowsnitch" check | grep -qv 'still starting'; }

clone=$PWD
step demo
go run ./cmd/flowsnitch demo
if [ "$1" = all ]; then
	step tests
	go test ./...
fi
step build
go build -o flowsnitch ./cmd/flowsnitch

step first hit
expect 2 ./flowsnitch check                # nothing runs
expect 3 ./flowsnitch lookup 203.0.113.9   # nothing is known
./flowsnitch demo --list demo.txt
./flowsnitch run --intel demo.txt >run.log 2>&1 &
run=$!
until_true grep 'listens on' run.log
./flowsnitch demo --to 127.0.0.1:2055 --duration 20s &
sender=$!
until_true grep '203.0.113.9' "$HOME/.local/state/flowsnitch/hits.json"
step hit

for folder in / /tmp "$HOME" "$clone"; do
	cd "$folder"
	expect 0 "$clone/flowsnitch" lookup 203.0.113.9
	expect 1 "$clone/flowsnitch" lookup 192.0.2.1
	expect 2 "$clone/flowsnitch" lookup nonsense
done
wait $sender
./flowsnitch lookup 203.0.113.9
./flowsnitch hunt 203.0.113.9
./flowsnitch incidents
./flowsnitch incidents show 203.0.113.9
./flowsnitch status
./flowsnitch top --count 1
until_true judged
expect 0 ./flowsnitch check
./flowsnitch check
expect 3 ./flowsnitch check no-such-check
kill -INT $run
wait $run
cat run.log
expect 2 ./flowsnitch check
step end
echo done
