#!/bin/bash
# SPDX-License-Identifier: MIT
# The number that PUBLISH returns is of clients in whose output buffer the server has put the message. A subscriber that has
# stopped reading is counted until it is 32 MB behind; then the server closes it, and what it was counted for is gone.
. "$(dirname "$0")/packages.sh"
unpack bookworm redis-tools=5:7.0.15-1~deb12u7 redis-server=5:7.0.15-1~deb12u7 libjemalloc2=5.3.0-1 liblzf1=3.6-3 libatomic1=12.2.0-14+deb12u1
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
port=$((20000 + $$ % 20000))
"$folder/bookworm/usr/bin/redis-server" --port $port --bind 127.0.0.1 --save "" --dir "$folder" >"$folder/log" 2>&1 &
server=$!
trap 'kill $server; wait $server; rm -rf "$folder"' EXIT
until grep -q "Ready to accept" "$folder/log"; do sleep 0.1; done
exec 3<>"/dev/tcp/127.0.0.1/$port" # the subscriber, which does not read
printf 'SUBSCRIBE topic\r\n' >&3
cli() { "$folder/bookworm/usr/bin/redis-cli" -p $port "$@"; }
until [ "$(cli PUBSUB NUMSUB topic | tail -1)" = 1 ]; do sleep 0.1; done
head -c 1000000 /dev/zero | tr '\0' x >"$folder/message"
counted=0
for _ in $(seq 100); do
	n=$(cli -x PUBLISH topic <"$folder/message")
	counted=$((counted + n))
done
arrived=$(cat <&3 | wc -c)
[ $counted -ge 32 ] && [ $counted -lt 100 ] && [ "$arrived" -lt $(((counted - 30) * 1000000)) ] && lost=yes || lost=no
echo "of 100 messages of 1 MB $counted were counted as received; $arrived bytes arrived"
saw "more than 30 of those that were counted did not arrive: $lost" "more than 30 of those that were counted did not arrive: yes"
echo "so: a count from a broker is not an acknowledgement; vai.nats counts a message as received when the program has taken it"
