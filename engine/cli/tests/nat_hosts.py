"""What hosts on both sides of a NAT do: tests/nat_hosts.rs runs it in their namespaces.

  serve PORT COUNT [ADDRESS]     echoes over TCP, once so many connections are open at the same time, and over UDP, by this address alone,
                                 until its input ends; says who they came from, as JSON
  many ADDRESS PORT FIRST COUNT  opens so many connections at once, from ports FIRST and on; says how many got their own bytes back
  idle ADDRESS PORT              a connection that asks something, is silent until its input ends, and asks again; says how many answers came
  udp PORT ADDRESS PORT SIZE     a datagram that must come back; says `answered`, `refused`, `unreachable` or `silence`
  tell PORT ADDRESS PORT         a datagram that nothing is expected for; says `sent`
  seen PORT                      waits for a datagram; says the port that it is from
  watch                          who sends IPv4 to this host, and in whose name ICMP errors quote, until its input ends; as JSON
  hold ADDRESS PORT OWN SECONDS  a connection and datagrams from port OWN, both answered; says `ready`, and behind the end of its input what comes
                                 of itself, of `tcp` and `udp`, for so long each
  push PORT                      the other side of it, which answers once, and at the end of its input sends of itself
  ftp ADDRESS                    fetches a file from an FTP server in passive mode; says how long it is
  ftpd ADDRESS SIZE              such a server, for one session
"""

import ftplib
import json
import resource
import selectors
import socket
import struct
import sys

# Seconds to wait for what must come.
PATIENCE = 10
# What a connection sends: one segment.
LENGTH = 1200


def until_input_ends(sockets, act):
    with selectors.DefaultSelector() as selector:
        for s in [sys.stdin, *sockets]:
            selector.register(s, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                act(selector, key.fileobj)


def serve(port, count, address=""):
    tcp, udp = socket.create_server(("", int(port)), backlog=4096), socket.socket(type=socket.SOCK_DGRAM)
    udp.bind((address, int(port)))
    peers, waiting, is_open = [], [], False

    def act(selector, s):
        nonlocal is_open
        if s is tcp:
            connection, peer = tcp.accept()
            peers.append(peer)
            selector.register(connection, selectors.EVENT_READ)
            is_open = is_open or len(peers) >= int(count)
            if is_open:
                for known in waiting:
                    selector.register(known, selectors.EVENT_READ)
                waiting.clear()
        elif s is udp:
            data, peer = udp.recvfrom(65535)
            peers.append(peer)
            udp.sendto(data, peer)
        elif not is_open:
            # It has sent something already, which waits for the others.
            selector.unregister(s)
            waiting.append(s)
        elif data := s.recv(65535):
            s.sendall(data)
        else:
            selector.unregister(s)
            s.close()

    until_input_ends([tcp, udp], act)
    return json.dumps({"connections": len(peers), "different": len(set(peers)), "from": sorted({peer[0] for peer in peers})})


def many(address, port, first, count):
    sockets = {}
    for own in range(int(first), int(first) + int(count)):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", own))
        s.setblocking(False)
        s.connect_ex((address, int(port)))
        sockets[s] = (own.to_bytes(2, "big") * LENGTH)[:LENGTH]
    for s, data in sockets.items():
        s.settimeout(PATIENCE)
        with selectors.DefaultSelector() as selector:
            selector.register(s, selectors.EVENT_WRITE)
            selector.select(PATIENCE)
        s.sendall(data)
    right = 0
    for s, data in sockets.items():
        right += s.recv(LENGTH, socket.MSG_WAITALL) == data
    for s in sockets:
        # Nothing is on its way when all have heard that the other side closes, too.
        s.shutdown(socket.SHUT_WR)
    for s in sockets:
        assert s.recv(1) == b""
        s.close()
    return right


def idle(address, port):
    with socket.create_connection((address, int(port)), timeout=PATIENCE) as s:
        def ask():
            s.sendall(b"hello")
            return s.recv(5, socket.MSG_WAITALL) == b"hello"

        answers = ask()
        until_input_ends([], None)
        return answers + ask()


def udp(own, address, port, size):
    data = bytes(number % 251 for number in range(int(size)))
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        # IP_MTU_DISCOVER, IP_PMTUDISC_DONT: datagrams may be cut in pieces. IP_RECVERR: errors that may be over soon are told, too.
        s.setsockopt(socket.IPPROTO_IP, 10, 0)
        s.setsockopt(socket.IPPROTO_IP, 11, 1)
        s.bind(("", int(own)))
        s.connect((address, int(port)))
        try:
            s.send(data)
            return "answered" if s.recv(65535) == data else "something else"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silence"
        except OSError:
            return "unreachable"


def tell(own, address, port):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", int(own)))
        s.sendto(b"hello", (address, int(port)))
    return "sent"


def seen(port):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.bind(("", int(port)))
        print("ready", flush=True)
        _, peer = s.recvfrom(100)
        return peer[1]


def watch():
    # Only what comes in is of ETH_P_IP; what leaves would need ETH_P_ALL.
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    s.bind(("eth0", 0x0800))
    # SO_RCVBUFFORCE.
    s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
    sources, quoted = set(), set()

    def act(_, s):
        data = s.recv(200)
        sources.add(socket.inet_ntoa(data[12:16]))
        at = (data[0] & 15) * 4
        is_first = struct.unpack("!H", data[6:8])[0] & 0x1FFF == 0
        if data[9] == 1 and is_first and data[at] in (3, 11, 12):
            quoted.update(socket.inet_ntoa(data[at + 8 + from_:at + 8 + from_ + 4]) for from_ in (12, 16))

    until_input_ends([s], act)
    # SOL_PACKET, PACKET_STATISTICS.
    _, lost = struct.unpack("II", s.getsockopt(263, 6, 8))
    return json.dumps({"lost": lost, "sources": sorted(sources), "quoted": sorted(quoted)})


def hold(address, port, own, patience):
    tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    for s in [tcp, udp]:
        s.settimeout(PATIENCE)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", int(own)))
        s.connect((address, int(port)))
        s.send(b"hello")
        assert s.recv(100) == b"hello"
    print("ready", flush=True)
    sys.stdin.read()
    came = []
    tcp.settimeout(float(patience))
    udp.settimeout(float(patience))
    for name, s in [("tcp", tcp), ("udp", udp)]:
        try:
            if s.recv(100) == b"again":
                came.append(name)
        except OSError as error:
            came.append(f"{name}: {error}")
    return " ".join(came)


def push(port):
    listener, udp = socket.create_server(("", int(port))), socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(("", int(port)))
    print("ready", flush=True)
    tcp, _ = listener.accept()
    tcp.sendall(tcp.recv(100))
    data, peer = udp.recvfrom(100)
    udp.sendto(data, peer)
    sys.stdin.read()
    tcp.sendall(b"again")
    udp.sendto(b"again", peer)
    return f"{peer[0]} {peer[1]}"


def ftp(address):
    got = bytearray()
    with ftplib.FTP(address, timeout=PATIENCE) as client:
        client.trust_server_pasv_ipv4_address = True
        client.login()
        client.retrbinary("RETR file", got.extend)
    return len(got)


def ftpd(address, size):
    """As much of RFC 959 as a download in passive mode needs."""
    listener = socket.create_server(("", 21))
    print("ready", flush=True)
    control, _ = listener.accept()
    lines = control.makefile("r")
    say = lambda text: control.sendall(f"{text}\r\n".encode())
    say("220 here")
    for line in lines:
        match line.split():
            case ["PASV"]:
                passive = socket.create_server(("", 0))
                port = passive.getsockname()[1]
                say(f"227 ({address.replace('.', ',')},{port >> 8},{port & 255})")
            case ["RETR", _]:
                data, _ = passive.accept()
                say("150 comes")
                data.sendall(bytes(int(size)))
                data.close()
                say("226 done")
            case ["QUIT"]:
                say("221 bye")
                break
            case ["USER", _]:
                say("230 in")
            case _:
                say("200 as you like")
    return "done"


resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
print(globals()[sys.argv[1]](*sys.argv[2:]))
