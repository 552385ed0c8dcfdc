"""Sends, receives or asks on `eth0` of the network namespace that this runs in; never for longer than eighteen seconds.

    send CPU FILE    sends the frames of a file (hex, one a line) in order, from a processor, a few each millisecond
    flood            sends frames of one flow as fast as it can until it is killed
    receive COUNT    writes `ready`, then the UDP packets that come in as hex, until there are so many
    scrape HOST SERIES  asks for the metrics again and again until a series is above 0, and writes its value
    arp MAC ADDRESS  asks who has an address until somebody answers, and writes the answer's hardware address
"""
import os
import socket
import sys
import time
import urllib.request

PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
ARP, IPV4 = b"\x08\x06", b"\x08\x00"
START = time.monotonic()


def attach():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    wire.bind(("eth0", 0))
    return wire


def left():
    return START + 18 - time.monotonic()


def send(cpu, name):
    os.sched_setaffinity(0, {int(cpu)})
    wire = attach()
    with open(name) as file:
        frames = [bytes.fromhex(line) for line in file]
    for number, frame in enumerate(frames):
        wire.send(frame)
        if number % 5 == 4:
            time.sleep(0.001)


def flood():
    wire = attach()
    # From 10.0.1.2 to 10.0.2.2, in a frame for the router.
    header = bytes.fromhex("450000200000000040" "1163ca" "0a000102" "0a000202" "00010002000c0000")
    frame = (bytes.fromhex("020000000001" "020000000102") + IPV4 + header).ljust(60, b"\0")
    print("ready", flush=True)
    while left() > 0:
        for _ in range(1000):
            wire.send(frame)


def receive(count):
    wire = attach()
    print("ready", flush=True)
    frames = []
    while len(frames) < int(count) and left() > 0:
        wire.settimeout(max(left(), 0.01))
        try:
            frame, (_, _, kind, _, _) = wire.recvfrom(2048)
        except TimeoutError:
            break
        if kind != PACKET_OUTGOING and frame[12:14] == IPV4 and frame[23] == 17:
            frames.append(frame.hex())
    print("\n".join(frames), flush=True)


def scrape(host, series):
    while left() > 0:
        with urllib.request.urlopen(f"http://{host}/metrics", timeout=left()) as answer:
            lines = answer.read().decode().splitlines()
        value = next(line.rsplit(" ", 1)[1] for line in lines if line.startswith(series))
        if float(value) > 0:
            print(value)
            return
        time.sleep(0.05)


def arp(mac, address):
    wire = attach()
    mac, address = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
    own = socket.inet_aton("10.0.1.2")
    request = b"\xff" * 6 + mac + ARP + bytes.fromhex("0001080006040001") + mac + own + bytes(6) + address
    wire.settimeout(0.02)
    while left() > 0:
        wire.send(request.ljust(60, b"\0"))
        try:
            while True:
                frame = wire.recv(2048)
                if frame[12:14] == ARP and frame[20:22] == b"\0\2" and frame[28:32] == address:
                    print(":".join(f"{byte:02x}" for byte in frame[22:28]))
                    return
        except TimeoutError:
            pass


{"send": send, "flood": flood, "receive": receive, "scrape": scrape, "arp": arp}[sys.argv[1]](*sys.argv[2:])
