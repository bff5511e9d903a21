#!/bin/bash
# SPDX-License-Identifier: MIT
# A NATS server knows a subscription by the client's number for it: a second SUB with the same number is answered like the first, but
# is not made. Its subject never delivers.
. "$(dirname "$0")/packages.sh"
unpack bookworm nats-server=2.9.10-1+b3
port=$((20000 + $$ % 20000))
"$folder/bookworm/usr/sbin/nats-server" -a 127.0.0.1 -p $port >"$folder/log" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
until grep -q "Server is ready" "$folder/log"; do sleep 0.1; done
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'CONNECT {"verbose":true}\r\nSUB first 1\r\nSUB second 1\r\nPUB first 1\r\na\r\nPUB second 1\r\nb\r\nSUB second 2\r\nPUB second 1\r\nc\r\nPING\r\n' >&3
got=
while read -r line <&3; do
	line=${line%$'\r'}
	case $line in
	PONG) break ;;
	MSG*) got="$got $line" ;;
	-ERR*) got="$got $line" ;;
	esac
done
saw "errors and messages:$got" "errors and messages: MSG first 1 1 MSG second 2 1"
echo "so: vai.nats never uses a number twice on one connection"
