"""The kernel as a router between two veth ports, in the network namespace that this runs in and that ends with it.

Reads `PORT HEX` lines from standard input, sends each frame, and writes `NUMBER PORT HEX` for each frame that comes out because of it. After
each frame goes a mark, a packet from port 0 to port 1 that only this program sends: what comes before it belongs to the frame. All runs on one
processor, whose queue of received packets keeps their order.
"""
import os
import select
import socket
import struct
import subprocess
import sys

MACS = ("02:00:00:00:01:01", "02:00:00:00:02:01")
PACKET_OUTGOING = 4


def run(command):
    subprocess.run(command.split(), check=True)


def sysctl(name, value):
    try:
        with open("/proc/sys/net/ipv4/" + name, "w") as file:
            file.write(str(value))
    except FileNotFoundError:
        # Kernels before it have no such limit, or it is not of the namespace.
        pass


def set_up():
    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
        file.write("1")
    run("ip link set lo up")
    for port in (0, 1):
        run(f"ip link add port{port} address {MACS[port]} type veth peer name host{port}")
        run(f"ip link set host{port} arp off multicast off up")
        run(f"ip link set port{port} up")
    run("ip link set port1 mtu 1400")
    run("ip address add 192.168.1.1/24 brd + dev port0")
    run("ip address add 203.0.113.2/30 brd + dev port1")
    run("ip route add 8.0.0.0/8 via 203.0.113.1")
    for address, mac, port in (("192.168.1.10", "02:00:00:00:01:10", 0), ("192.168.1.11", "02:00:00:00:01:11", 0),
                               ("203.0.113.1", "02:00:00:00:02:02", 1)):
        run(f"ip neigh add {address} lladdr {mac} dev port{port} nud permanent")
    sysctl("ip_forward", 1)
    sysctl("icmp_ratelimit", 0)
    sysctl("icmp_msgs_per_sec", 1000000)
    sysctl("icmp_msgs_burst", 1000000)
    for which in ("all", "default", "port0", "port1", "host0", "host1"):
        sysctl(f"conf/{which}/rp_filter", 0)
        sysctl(f"conf/{which}/send_redirects", 0)
        sysctl(f"conf/{which}/accept_source_route", 0)
        sysctl(f"conf/{which}/arp_ignore", 1)


def attach(port):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
    wire.bind((f"host{port}", 0))
    return wire


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def mark(number):
    """UDP from 192.168.1.11 to 8.255.255.254, with the number behind it."""
    head = [0x45, 0, 32, 0, 0, 64, 17, 0, 0xC0A8010B, 0x08FFFFFE]
    form = "!BBHHHBBHII"
    head[7] = checksum(struct.pack(form, *head))
    ethernet = bytes.fromhex("020000000101" "020000000111" "0800")
    return ethernet + struct.pack(form, *head) + struct.pack("!HHHHI", 9, 9, 12, 0, number)


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lines = sys.stdin.read().split("\n")
    set_up()
    wires = [attach(0), attach(1)]
    out = []
    for number, line in enumerate(line for line in lines if line):
        port, _, frame = line.partition(" ")
        # What is too short for an Ethernet header a veth does not carry.
        wires[int(port)].send(bytes.fromhex(frame))
        wires[0].send(mark(number))
        seen = False
        while True:
            ready, _, _ = select.select(wires, [], [], 0 if seen else 5)
            if not ready:
                if not seen:
                    sys.exit(f"the mark behind frame {number} has not come back")
                break
            for wire in ready:
                frame, sender = wire.recvfrom(65536)
                if sender[2] == PACKET_OUTGOING:
                    continue
                if frame[30:34] == b"\x08\xff\xff\xfe":
                    seen = True
                    continue
                out.append(f"{number} {wires.index(wire)} {frame.hex()}")
    print("\n".join(out))


main()
