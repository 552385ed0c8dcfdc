"""What a host does to see what a firewall lets pass: tests/firewall_hosts.rs runs it in the host's namespace.

The first argument is how many seconds to wait for an answer, and the others what to do:

  tcp ADDRESS PORT                      connects; says `connected`, `refused` or `silence`
  udp PORT ADDRESS PORT                 sends a datagram, which is a question; says `answered`, `refused` or `silence`
  raw SOURCE DESTINATION PROTOCOL HEX   sends a packet, whoever it says that it is from
  error DESTINATION TYPE WORD HEX       sends an ICMP error with a quote
"""

import socket
import struct
import sys

# Seconds to wait for an answer.
PATIENCE = float(sys.argv[1])


def ask(action):
    try:
        return action()
    except ConnectionRefusedError:
        return "refused"
    except (TimeoutError, socket.timeout):
        return "silence"


def tcp(address, port):
    with socket.socket() as s:
        s.settimeout(PATIENCE)
        return ask(lambda: s.connect((address, int(port))) or "connected")


def udp(own, address, port):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.bind(("", int(own)))
        s.connect((address, int(port)))
        s.send(b"question")
        return ask(lambda: s.recv(100) and "answered")


def raw(source, destination, protocol, payload):
    # The kernel fills in length, identification and checksum (raw(7)).
    source, target = socket.inet_aton(source), socket.inet_aton(destination)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, int(protocol), 0, source, target)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        s.sendto(header + bytes.fromhex(payload), (destination, 0))
    return "sent"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def error(destination, kind, word, quote):
    kind, code = (int(number) for number in kind.split("."))
    body = struct.pack("!I", int(word)) + bytes.fromhex(quote)
    message = struct.pack("!BBH", kind, code, 0) + body
    message = struct.pack("!BBH", kind, code, checksum(message)) + body
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.sendto(message, (destination, 0))
    return "sent"


print({"tcp": tcp, "udp": udp, "raw": raw, "error": error}[sys.argv[2]](*sys.argv[3:]))
