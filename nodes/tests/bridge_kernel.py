"""The kernel's bridge between three veth ports, in the network namespace that this runs in and that ends with it.

Reads a script from standard input: `send PORT HEX`, `wait PORT HEX` (until the port has got this frame), `at SECONDS` (until so much
time has passed since the first line). Writes, once standard input has ended, `time SECONDS` for each `at` and each `wait`, when it had
been reached, and `got PORT HEX` for each frame, in order.
"""
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

PORTS = 3
SOL_PACKET, PACKET_AUXDATA, SO_RCVBUFFORCE, PACKET_OUTGOING = 263, 8, 33, 4
VLAN_VALID, TPID_VALID = 0x10, 0x40


def run(command):
    subprocess.run(command.split(), check=True)


def set_up(ageing):
    for which in ("all", "default"):
        with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as file:
            file.write("1")
    run(f"ip link add br0 type bridge stp_state 0 forward_delay 0 ageing_time {ageing}")
    # Or it would join groups itself, and send frames. A kernel may be without snooping.
    subprocess.run("ip link set br0 type bridge mcast_snooping 0".split(), check=False, stderr=subprocess.DEVNULL)
    for port in range(PORTS):
        run(f"ip link add port{port} address 02:00:00:00:00:0{10 + port:x} type veth peer name host{port}")
        run(f"ip link set port{port} master br0 up")
        run(f"ip link set host{port} up")
    run("ip link set port2 mtu 200")
    run("ip link set br0 up")


def attach(port):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    wire.bind((f"host{port}", 0))
    return wire


def receive(wire):
    """A frame as it was on the wire: the kernel takes the tag out and tells it beside."""
    frame, beside, _, sender = wire.recvmsg(65536, 256)
    if sender[2] == PACKET_OUTGOING:
        return None
    for level, kind, data in beside:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & VLAN_VALID:
                tpid = tpid if status & TPID_VALID else 0x8100
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame.hex()


def main():
    signal.alarm(60)
    # One processor, one queue: what is sent first is bridged first.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    set_up(sys.argv[1])
    wires = [attach(port) for port in range(PORTS)]
    got = [[] for _ in wires]
    times = []

    def collect(timeout):
        for wire in select.select(wires, [], [], timeout)[0]:
            frame = receive(wire)
            if frame is not None:
                got[wires.index(wire)].append(frame)

    lines = [line.split() for line in sys.stdin]
    start = time.monotonic()
    for line in lines:
        if line[0] == "send":
            wires[int(line[1])].send(bytes.fromhex(line[2]))
        elif line[0] == "wait":
            deadline = time.monotonic() + 10
            while line[2] not in got[int(line[1])][-1000:]:
                if time.monotonic() > deadline:
                    sys.exit(f"port {line[1]} has not got {line[2]}")
                collect(0.1)
            times.append(time.monotonic() - start)
        else:
            while (left := start + float(line[1]) - time.monotonic()) > 0:
                collect(left)
            times.append(time.monotonic() - start)
    # What is not expected may come late.
    end = time.monotonic() + 0.2
    while (left := end - time.monotonic()) > 0:
        collect(left)
    for at in times:
        print("time", at)
    for port, frames in enumerate(got):
        for frame in frames:
            print("got", port, frame)


main()
