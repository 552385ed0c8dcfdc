"""Cuts IPv4 packets and puts them together, as scapy does. One JSON value per line, in and out: {"cut": HEX, "size": N} gives a list of
fragments, {"join": [HEX, ...]} the packet."""

import json
import sys

from scapy.layers.inet import IP, defragment


def answer(question):
    if "cut" in question:
        packet = IP(bytes.fromhex(question["cut"]))
        return [bytes(fragment).hex() for fragment in packet.fragment(fragsize=question["size"])]
    (packet,) = defragment([IP(bytes.fromhex(fragment)) for fragment in question["join"]])
    return bytes(packet).hex()


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
