"""Subscribers behind a provider's NAT, and who they speak to: tests/cgnat_hosts.rs runs it in their namespaces.

  note PORT                           answers connections and datagrams until its input ends; says what each has said, and where it came from,
                                      as JSON
  users ADDRESS PORT COUNT SOURCE...  so many connections and datagrams at once from each of its addresses, which say where they are from; says
                                      how many were answered
"""

import json
import resource
import selectors
import socket
import sys

# Seconds to wait for what must come.
PATIENCE = 15


def note(port):
    tcp, udp = socket.create_server(("", int(port)), backlog=4096), socket.socket(type=socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    udp.bind(("", int(port)))
    noted = []
    with selectors.DefaultSelector() as selector:
        for s in [sys.stdin, tcp, udp]:
            selector.register(s, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                s = key.fileobj
                if s is sys.stdin:
                    return json.dumps(noted)
                if s is tcp:
                    connection, peer = tcp.accept()
                    selector.register(connection, selectors.EVENT_READ, peer)
                elif s is udp:
                    data, peer = udp.recvfrom(100)
                    noted.append(["udp", data.decode(), *peer])
                    udp.sendto(data, peer)
                elif data := s.recv(100):
                    noted.append(["tcp", data.decode(), *key.data])
                    s.sendall(data)
                else:
                    selector.unregister(s)
                    s.close()


def users(address, port, count, *sources):
    sockets = []
    for source in sources:
        for own in range(20000, 20000 + int(count)):
            for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM]:
                s = socket.socket(type=kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.settimeout(PATIENCE)
                s.bind((source, own))
                s.connect((address, int(port)))
                s.send(source.encode())
                sockets.append((s, source))
    answered = sum(s.recv(100) == source.encode() for s, source in sockets)
    for s, _ in sockets:
        if s.type == socket.SOCK_STREAM:
            s.shutdown(socket.SHUT_WR)
            assert s.recv(1) == b""
        s.close()
    return answered


resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
print(globals()[sys.argv[1]](*sys.argv[2:]))
