#!/bin/bash
# Is the service on this port of this container alive? Needs nothing but bash, which the image has.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
IFS=' ' read -r -t 2 _ status _ <&3 && [ "$status" = 200 ]
