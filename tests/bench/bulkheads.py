#!/usr/bin/env python3
"""What one Caf's bad backend costs the users of another Caf.

    tests/bench/bulkheads.py target/dist/octroi [rounds]

Times admitted requests to a Caf that is well, on one kept connection: in quiet, then while 64 clients ask another Caf
whose backend is well too, hangs, sends a byte a second, resets, or answers garbage. Each round has all kinds, in an order
that is drawn anew, and each is held against the quiet of its own round, since the machine's pace drifts. Prints the medians
of the rounds, and exits 1 where a 99th percentile is more than a fifth above that in quiet.

The clients ask by themselves, not in step: each waits for its answer, then for 0.1 to 0.3 s. Core 0 has the gateway, core 1
all the rest. The 64 clients and their backend stand for other machines: they run where those that are measured leave core 1
idle, or they would cost them more there than any gateway does (2.9 times the quiet 99th where they asked their backend past
the gateway). Bounded: some 10 s a round and kind.
"""

import asyncio
import json
import multiprocessing
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import bench
import flood

KINDS = ("quiet", "well", "hung", "dripping", "resetting", "garbage")
CLIENTS = 64
PAUSE = (0.1, 0.3)  # seconds between two requests of a client, at least and at most
SETTLE = 4.5  # seconds after which what was asked before is answered, or given up
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024

CONFIG = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 1
[admin]
listen = "127.0.0.1:{admin}"
[store]
url = "embedded:{dir}/store"
[backend]
first_byte_timeout = "2s"
[limits]
per_client = {{ rate = "100000/s", burst = 100000 }}
per_session = {{ rate = "100000/s", burst = 100000 }}
login_per_client = {{ rate = "100000/s", burst = 100000 }}
[log]
format = "json"
[[caf]]
code = "921"
name = "Caf des Hauts-de-Seine"
contact = "partenaires@caf921.example"
backends = ["http://127.0.0.1:{good}"]
[[caf]]
code = "131"
name = "Caf des Bouches-du-Rhône"
contact = "partenaires@caf131.example"
backends = ["http://127.0.0.1:{bad}"]
"""


def stand_aside():
    """Takes only what others leave of the core."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def backend(port, kind, is_aside):
    """A backend of its own process: `kind.value` is a place in KINDS."""
    if is_aside:
        stand_aside()

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                now = KINDS[kind.value]
                if now == "hung":
                    await asyncio.sleep(30)
                elif now == "dripping":
                    writer.write(PAGE[:200])
                    for byte in PAGE[200:230]:
                        await asyncio.sleep(1)
                        writer.write(bytes([byte]))
                        await writer.drain()
                    return
                elif now == "resetting":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                elif now == "garbage":
                    writer.write(b"\x16\x03\x01 ceci n'est pas du HTTP\r\n\r\n")
                    return
                else:
                    writer.write(PAGE)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    asyncio.run(main())


def crowd(port, cookie, kind, asked):
    """CLIENTS people of the other Caf, who ask again and again whatever they get."""
    stand_aside()
    head = f"GET / HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"

    async def one():
        while True:
            if KINDS[kind.value] == "quiet":
                await asyncio.sleep(random.uniform(*PAUSE))
                continue
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head.encode())
                await asyncio.wait_for(reader.read(), 4)
                writer.close()
            except (OSError, asyncio.TimeoutError):
                pass
            with asked.get_lock():
                asked.value += 1
            await asyncio.sleep(random.uniform(*PAUSE))

    async def main():
        await asyncio.gather(*(one() for _ in range(CLIENTS)))

    asyncio.run(main())


def session(binary, admin, port, caf, folder):
    """The cookie of an account of one Caf, admitted there."""
    name = f"direction{caf}@esat.example"

    def command(*words):
        words = [binary, *words, "--admin", f"http://127.0.0.1:{admin}", "--json"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    known = os.path.join(folder, f"{caf}.jsonl")
    with open(known, "w") as file:
        file.write(json.dumps({"caf": caf, "siret": bench.ACCOUNT["siret"]}) + "\n")
    command("establishment", "import", known)
    made = json.loads(command("account", "create", "--identifiant", name, "--siret", bench.ACCOUNT["siret"], "--nom",
                              "ESAT", "--caf", caf))
    first = made["provisional_password"]
    cookie = bench.post(port, "/portail/connexion", {"identifiant": name, "mot_de_passe": first})
    change = {"mot_de_passe_actuel": first, "nouveau_mot_de_passe": bench.PASSWORD}
    return bench.post(port, "/portail/mot-de-passe", change, cookie)


def main():
    binary, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="octroi-bulkheads-") as folder:
        ports = {name: bench.free_port() for name in ("port", "admin", "good", "bad")}
        os.sched_setaffinity(0, {1})
        config = os.path.join(folder, "octroi.toml")
        with open(config, "w") as file:
            file.write(CONFIG.format(dir=folder, **ports))
        well = KINDS.index("well")
        always_well, kind = multiprocessing.Value("i", well), multiprocessing.Value("i", well)
        asked = multiprocessing.Value("i", 0)
        started = [multiprocessing.Process(target=backend, args=(ports["good"], always_well, False), daemon=True),
                   multiprocessing.Process(target=backend, args=(ports["bad"], kind, True), daemon=True)]
        for process in started:
            process.start()
        gateway = subprocess.Popen(["taskset", "-c", "0", binary, "run", "--config", config],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for name in ports:
                bench.wait_until(name, lambda name=name: bench.listens(ports[name]))
            cookies = {caf: session(binary, ports["admin"], ports["port"], caf, folder) for caf in ("921", "131")}
            people = multiprocessing.Process(target=crowd, args=(ports["port"], cookies["131"], kind, asked),
                                             daemon=True)
            people.start()
            started.append(people)
            address = f"127.0.0.1:{ports['port']}"
            flood.measure(address, cookies["921"])
            found = {name: [] for name in KINDS}
            for _ in range(rounds):
                for name in random.sample(KINDS, len(KINDS)):
                    kind.value = KINDS.index(name)
                    time.sleep(SETTLE)
                    before, began = asked.value, time.monotonic()
                    found[name].append(flood.measure(address, cookies["921"]))
                    rate = (asked.value - before) / (time.monotonic() - began)
                    p50, p99, count = found[name][-1]
                    print(f"  {name}: p50 {p50:.2f} p99 {p99:.2f} ms ({count} requests, {rate:.0f} a second beside them)",
                          file=sys.stderr)
        finally:
            # The clients first: requests under way would hold the gateway's end.
            for process in started:
                process.terminate()
            gateway.terminate()
            gateway.wait(40)
        report(found)


def report(found):
    """`found` has the percentiles of each kind, by round."""
    middle = lambda values: statistics.median(list(values))
    against = lambda name, other: middle(one[1] / two[1] for one, two in zip(found[name], found[other]))
    print("Requests to a Caf that is well; in quiet, and beside 64 clients of another whose backend is:\n")
    rows = [[name, *(f"{middle(row[place] for row in found[name]):.2f}" for place in (0, 1)),
             f"{against(name, 'quiet'):.2f}", f"{against(name, 'well'):.2f}"] for name in KINDS]
    bench.table(["", "p50 ms", "p99 ms", "of the round's quiet p99", "of p99 beside one that is well"], rows)
    sys.exit(0 if max(against(name, "quiet") for name in KINDS) <= 1.2 else 1)


if __name__ == "__main__":
    main()
