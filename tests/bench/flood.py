#!/usr/bin/env python3
"""What a flood of sign-ins costs those who are signed in.

    tests/bench/flood.py target/release/octroi [rounds]

Starts the embedded default, and times admitted requests on one kept connection: in quiet, then while 100
connections sign in as fast as they are answered, in rounds by turns. Prints the 50th and 99th percentiles of
each, and exits 1 where the flood's 99th is more than twice the quiet one (medians of the rounds). Bounded: some
15 s a round.
"""

import http.client
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import threading
import time

CONNECTIONS = 100
REQUESTS = 3_000
SECONDS = 5


def start(binary):
    env = dict(os.environ, OCTROI_SERVER__LISTEN="127.0.0.1:0", OCTROI_ADMIN__LISTEN="127.0.0.1:0",
               OCTROI_LOG__FORMAT="json", OCTROI_LOG__LEVEL="info")
    for limit in ("PER_CLIENT", "PER_SESSION", "LOGIN_PER_CLIENT"):
        env[f"OCTROI_LIMITS__{limit}__RATE"] = "100000/s"
        env[f"OCTROI_LIMITS__{limit}__BURST"] = "100000"
    gateway = subprocess.Popen([binary], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in gateway.stderr:
        found = re.search(r'"listening".*"listener":"public".*|"listener":"public".*"listening".*', line)
        if found:
            address = re.search(r'"address":"([^"]+)"', line).group(1)
            break
    else:
        sys.exit("the gateway does not listen")
    threading.Thread(target=lambda: [None for _ in gateway.stderr], daemon=True).start()
    return gateway, address


def sign_in(connection, identifiant, password):
    body = json.dumps({"identifiant": identifiant, "mot_de_passe": password})
    connection.request("POST", "/portail/connexion", body,
                       {"Content-Type": "application/json", "Accept": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer


def measure(address, cookie):
    """Percentiles, in ms, of requests on one connection."""
    connection = http.client.HTTPConnection(address, timeout=10)
    times = []
    until = time.perf_counter() + SECONDS
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", "/", headers={"Cookie": cookie, "Accept": "application/json"})
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
        if time.perf_counter() > until:
            break
        time.sleep(0.001)
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100], len(times)


def flood(address, stop, counts):
    os.nice(19)  # it stands for other machines

    def one(number):
        connection = http.client.HTTPConnection(address, timeout=20)
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                status = sign_in(connection, f"x{number}.{turn}@flood.example", "Mauvais-2026").status
            except OSError:
                connection.close()
                continue
            with counts.get_lock():
                counts[0 if status == 401 else 1 if status == 503 else 2] += 1
            if status != 401:
                time.sleep(0.25)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    binary, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    gateway, address = start(binary)
    try:
        connection = http.client.HTTPConnection(address, timeout=10)
        time.sleep(1)
        cookie = sign_in(connection, "une.caf@esat.example", "Tilleul-2026").getheader("set-cookie").split(";")[0]
        measure(address, cookie)
        quiet, flooded = [], []
        for _ in range(rounds):
            quiet.append(measure(address, cookie))
            stop, counts = multiprocessing.Event(), multiprocessing.Array("i", 3)
            flooding = multiprocessing.Process(target=flood, args=(address, stop, counts))
            flooding.start()
            time.sleep(1.5)
            flooded.append(measure(address, cookie))
            stop.set()
            flooding.join(30)
            print(f"quiet p50 {quiet[-1][0]:.2f} p99 {quiet[-1][1]:.2f} ms ({quiet[-1][2]} requests)   "
                  f"flood p50 {flooded[-1][0]:.2f} p99 {flooded[-1][1]:.2f} ms ({flooded[-1][2]} requests; "
                  f"{counts[0]} sign-ins judged, {counts[1]} shed, {counts[2]} other)")
        before, during = (statistics.median(p99 for _, p99, _ in rows) for rows in (quiet, flooded))
        print(f"p99 quiet {before:.2f} ms, in the flood {during:.2f} ms: {during / before:.2f} times")
        sys.exit(0 if during <= 2 * before else 1)
    finally:
        gateway.terminate()
        gateway.wait(20)


if __name__ == "__main__":
    main()
