"""Measures octroi against nginx and HAProxy, side by side in one run. `tests/bench/run` starts it.

What is compared is the CPU that a proxy's processes use for a request, user and system (`/proc/PID/stat`), by
rounds that alternate between the proxies. Core 0 has the proxy, core 1 all the rest: load, backend, Redis."""

import argparse
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import configs

TICK = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
PASSWORD = "Tilleul-2026-bench"
ACCOUNT = {"identifiant": "direction@esat.example", "siret": "73282932000074", "nom": "ESAT Les Tilleuls"}


def pinned(core, *command):
    """The command on a core of those that this program may use: 0 for the proxy, 1 for all the rest."""
    return ["taskset", "-c", str(CORES[core % len(CORES)]), *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, done, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if done():
            return
        time.sleep(0.02)
    sys.exit(f"{what} did not come within {seconds} s")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Proxy:
    """A program under measure: its processes, and where it listens."""

    def __init__(self, name, port, process, tls=None, headers=()):
        self.name, self.port, self.process, self.tls, self.headers = name, port, process, tls, headers
        wait_until(name, lambda: listens(port))
        self.secure_process = None

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [self.process.pid, *map(int, children.split())]

    def cpu(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def memory(self, what):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as status:
                found = re.search(rf"^{what}:\s+(\d+) kB", status.read(), re.M)
            total += int(found.group(1)) if found else 0
        return total / 1024


class Place:
    """The servers of a run, in a folder of its own; all end with it."""

    def __init__(self, octroi):
        self.dir = tempfile.mkdtemp(prefix="octroi-bench-")
        os.chmod(self.dir, 0o755)
        self.octroi, self.started = octroi, []
        names = ("backend", "backend_http2", "redis", "authority", "admin")
        self.ports = {name: free_port() for name in names}

    def start(self, core, *command, **options):
        process = subprocess.Popen(
            pinned(core, *command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
        )
        self.started.append(process)
        return process

    def stop(self, seconds=10):
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait(seconds)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def nginx(self, name, http, core=0, modules="", buffering="on", **ports):
        ports = {**self.ports, **ports}
        text = http.format(dir=self.dir, **ports)
        text = configs.NGINX.format(dir=self.dir, name=name, http=text, modules=modules, buffering=buffering)
        path = self.write(f"{name}.conf", text)
        process = self.start(core, "nginx", "-c", path, "-e", f"{self.dir}/{name}.err")
        return process

    def certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", f"{self.dir}/key.pem", "-out", f"{self.dir}/cert.pem", "-days", "2", "-subj", "/CN=localhost"],
            check=True, capture_output=True,
        )
        with open(f"{self.dir}/both.pem", "w") as both:
            for part in ("cert.pem", "key.pem"):
                both.write(open(f"{self.dir}/{part}").read())

    def background(self):
        """Backend and Redis, on the load's core."""
        self.write("www/1k", "x" * 1024)
        self.write("www/10m", "x" * (10 * 1024 * 1024))
        self.certificate()
        self.nginx("backend", configs.BACKEND, core=1, modules=configs.LUA_MODULES)
        self.start(1, "redis-server", "--port", str(self.ports["redis"]), "--save", "", "--dir", self.dir)
        for name in ("backend", "redis"):
            wait_until(name, lambda name=name: listens(self.ports[name]))


def bare_nginx(place):
    port, tls = free_port(), free_port()
    return Proxy("nginx, bare `proxy_pass`", port, place.nginx("bare", configs.BARE, port=port, tls=tls), tls)


def haproxy(place):
    port, tls = free_port(), free_port()
    text = configs.HAPROXY.format(dir=place.dir, port=port, tls=tls, **place.ports)
    path = place.write("haproxy.cfg", text)
    return Proxy("HAProxy, bare", port, place.start(0, "haproxy", "-f", path), tls)


def lua(place, name, http):
    token = "t" * 43
    digest = subprocess.run(
        f"printf %s {token} | openssl dgst -sha1 -binary | openssl base64", shell=True, capture_output=True, text=True
    ).stdout.strip()
    session = json.dumps({"caf": "921", "compte": ACCOUNT["identifiant"], "siret": ACCOUNT["siret"]})
    subprocess.run(
        ["redis-cli", "-p", str(place.ports["redis"]), "set", f"session:{digest}", session, "EX", "1800"],
        check=True, capture_output=True,
    )
    port = free_port()
    process = place.nginx(name, http, modules=configs.LUA_MODULES, port=port)
    title = {"lua": "nginx + Lua + Redis, the same job", "auth": "nginx + auth_request + Redis"}[name]
    return Proxy(title, port, process, headers=(f"Cookie: octroi={token}",))


def octroi(place):
    port, tls = free_port(), free_port()
    for listener, number in (("octroi", port), ("octroi-tls", tls)):
        secure = listener == "octroi-tls"
        pair = f'[server.tls]\ncertificate = "{place.dir}/cert.pem"\nkey = "{place.dir}/key.pem"\n' if secure else ""
        admin = free_port() if secure else place.ports["admin"]
        ports = {**place.ports, "port": number, "admin": admin}
        place.write(f"{listener}.toml", configs.OCTROI.format(tls=pair, **ports))
    process = place.start(0, place.octroi, "run", "--config", f"{place.dir}/octroi.toml")
    secure = place.start(0, place.octroi, "run", "--config", f"{place.dir}/octroi-tls.toml")
    wait_until("octroi", lambda: listens(port) and listens(tls) and listens(place.ports["admin"]))
    cookie = octroi_session(place, port)
    proxy = Proxy("**octroi**, its whole job", port, process, tls, headers=(f"Cookie: {cookie}",))
    proxy.secure_process = secure
    return proxy


def octroi_session(place, port):
    """An account of one Caf, and the cookie of its session there."""
    admin = f"http://127.0.0.1:{place.ports['admin']}"
    command = lambda *words: subprocess.run(
        [place.octroi, *words, "--admin", admin, "--json"], check=True, capture_output=True, text=True
    ).stdout
    account = place.write("accounts.jsonl", json.dumps({**ACCOUNT, "cafs": ["921"]}) + "\n")
    known = place.write("establishments.jsonl", json.dumps({"caf": "921", "siret": ACCOUNT["siret"]}) + "\n")
    provisional = re.search(r'"(?:mot_de_passe|password|provisional_password)":\s*"([^"]+)"', command("account", "import", account))
    command("establishment", "import", known)

    first = {"identifiant": ACCOUNT["identifiant"], "mot_de_passe": provisional.group(1)}
    cookie = post(port, "/portail/connexion", first)
    change = {"mot_de_passe_actuel": provisional.group(1), "nouveau_mot_de_passe": PASSWORD}
    return post(port, "/portail/mot-de-passe", change, cookie)


def post(port, path, body, cookie=None):
    """The cookie that octroi sets."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if cookie:
        request.add_header("Cookie", cookie)
    with urllib.request.urlopen(request) as answer:
        return answer.headers["Set-Cookie"].split(";")[0]


def wrk(proxy, path, seconds, connections, script=None):
    """Load on a proxy; CPU seconds of the proxy, and what wrk says."""
    command = pinned(1, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s")
    for header in proxy.headers:
        command += ["-H", header]
    if script:
        command += ["-s", script]
    before = proxy.cpu()
    out = subprocess.run([*command, f"http://127.0.0.1:{proxy.port}{path}"], capture_output=True, text=True).stdout
    used = proxy.cpu() - before
    if re.search(r"Non-2xx|Socket errors", out):
        sys.exit(f"{proxy.name} {path}: {out}")
    requests, took = re.search(r"(\d+) requests in ([\d.]+)(m?s)", out).group(1, 2)
    wait = {p: duration(re.search(rf"{p}%\s+([\d.]+)(us|ms|s)", out)) for p in (50, 99)}
    return {
        "us": used / int(requests) * 1e6, "rps": int(requests) / float(took), "p50": wait[50], "p99": wait[99],
        "requests": int(requests), "cpu": used, "took": float(took),
    }


def duration(found):
    return float(found.group(1)) * {"us": 1e-3, "ms": 1, "s": 1e3}[found.group(2)]


def rounds(proxies, count, measure):
    """`count` rounds over all proxies, in turn, so that what the machine does else falls on each alike."""
    results = {proxy.name: [] for proxy in proxies}
    for number in range(count):
        for proxy in proxies:
            print(f"  round {number + 1}/{count}: {proxy.name}", file=sys.stderr)
            results[proxy.name].append(measure(proxy))
    return results


def spread(values, form="{:.1f}"):
    low, middle, high = (form.format(f(values)) for f in (min, statistics.median, max))
    return middle if low == high else f"{middle} ({low}–{high})"


def table(titles, rows):
    print("| " + " | ".join(titles) + " |")
    print("|---" * len(titles) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def small_requests(proxies, count, seconds):
    results = rounds(proxies, count, lambda proxy: wrk(proxy, "/1k", seconds, 64))
    median = {name: statistics.median(r["us"] for r in found) for name, found in results.items()}
    base, job = (median[next(n for n in median if n.startswith(start))] for start in ("nginx, bare", "nginx + Lua"))
    rows = []
    for proxy in proxies:
        found = results[proxy.name]
        column = lambda key: [r[key] for r in found]
        rows.append([
            proxy.name, spread(column("us")), f"{median[proxy.name] / base:.2f}", f"{median[proxy.name] / job:.2f}",
            f"{statistics.median(column('rps')):,.0f}", spread(column("p50"), "{:.2f}"), spread(column("p99"), "{:.2f}"),
        ])
    print("1 KiB answers, 64 connections that are kept:\n")
    table(["", "CPU µs a request", "of nginx bare", "of nginx + Lua", "requests/s", "p50 ms", "p99 ms"], rows)


def upload_script(place, mib=10):
    return place.write("up.lua", f'wrk.method = "POST"\nwrk.body = string.rep("x", {mib} * 1024 * 1024)\n')


def large_bodies(proxies, count, seconds, place):
    script = upload_script(place)
    rows = {proxy.name: [proxy.name] for proxy in proxies}
    for path, lua_script in (("/10m", None), ("/up", script)):
        found = rounds(proxies, count, lambda proxy: wrk(proxy, path, seconds, 8, lua_script))
        for proxy in proxies:
            rates = [r["cpu"] / (r["requests"] * 10 / 1024) for r in found[proxy.name]]
            rows[proxy.name] += [spread(rates, "{:.2f}")]
    print("10 MiB bodies, 8 connections:\n")
    table(["", "CPU s a GiB down", "CPU s a GiB up"], rows.values())


def peaks(proxies):
    print("Peak memory of the whole run:\n")
    table(["", "MiB"], [[proxy.name, f"{proxy.memory('VmHWM'):.0f}"] for proxy in proxies])


def idle_connections(proxies, wanted):
    rows = []
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    for proxy in proxies:
        # HAProxy wants two files for each client, used or not.
        count = min(wanted, (files - 1_000) // 2) if proxy.name.startswith("HAProxy") else wanted
        before, held = proxy.memory("VmRSS"), []
        head = "GET /1k HTTP/1.1\r\nHost: bench\r\n" + "".join(f"{h}\r\n" for h in proxy.headers) + "\r\n"
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", proxy.port), 10)
            client.sendall(head.encode())
            got = b""
            while not got.endswith(b"x" * 1024):
                piece = client.recv(65536)
                if not piece:
                    sys.exit(f"{proxy.name} closed a connection: {got[:200]}")
                got += piece
            held.append(client)
        more = proxy.memory("VmRSS") - before
        cpu, began = proxy.cpu(), time.monotonic()
        time.sleep(3)
        idle = (proxy.cpu() - cpu) / (time.monotonic() - began) * 100
        rows.append([proxy.name, f"{count:,}", f"{more:.0f}", f"{more * 1024 / count:.1f}", f"{idle:.1f} %"])
        for client in held:
            client.close()
    print("Idle connections, each after one request:\n")
    table(["", "connections", "MiB more", "KiB each", "CPU while idle"], rows)


def shake_hands(port, seconds):
    """How many TLS connections one client opened, one after another."""
    out = subprocess.run(
        pinned(1, "openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-tls1_3", "-time", str(seconds)),
        capture_output=True, text=True,
    ).stdout
    return int(re.search(r"(\d+) connections in", out).group(1))


def handshakes(proxies, count, seconds):
    def measure(proxy):
        served = Proxy(proxy.name, proxy.tls, proxy.secure_process or proxy.process)
        before = served.cpu()
        return shake_hands(proxy.tls, seconds) / (served.cpu() - before)

    found = rounds(proxies, count, measure)
    print("TLS 1.3, full handshakes (ECDSA P-256, X25519):\n")
    table(["", "a CPU second"], [[name, spread(rates, "{:,.0f}")] for name, rates in found.items()])


def machine():
    with open("/proc/cpuinfo") as info:
        model = re.search(r"model name\s*: (.*)", info.read())
    version = lambda *command: subprocess.run(command, capture_output=True, text=True)
    nginx = version("nginx", "-v").stderr.strip().rsplit("/", 1)[1]
    proxy = version("haproxy", "-v").stdout.split()[2].split("-")[0]
    print(f"{time.strftime('%Y-%m-%d')}, {model.group(1) if model else 'unknown CPU'}, Linux {os.uname().release}, "
          f"nginx {nginx}, HAProxy {proxy}; medians (least–most).\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--octroi", required=True, help="the binary to measure")
    arguments.add_argument("--quick", action="store_true", help="one short round of each")
    arguments.add_argument("--only", choices=["requests", "bodies", "idle", "tls"], help="one table alone")
    options = arguments.parse_args()
    count, seconds, idle = (1, 1, 500) if options.quick else (5, 5, 10_000)
    wanted = lambda name: options.only in (None, name)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    place = Place(options.octroi)
    try:
        place.background()
        bare, other = bare_nginx(place), haproxy(place)
        job, asked = lua(place, "lua", configs.LUA), lua(place, "auth", configs.AUTH_REQUEST)
        ours = octroi(place)
        machine()
        # First, before load has given each a heap that the clients' memory would come from.
        if wanted("idle"):
            idle_connections([bare, other, ours], idle)
        if wanted("requests"):
            small_requests([bare, other, ours, job, asked], count, seconds)
        if wanted("bodies"):
            large_bodies([bare, other, ours], count, seconds, place)
        if wanted("tls"):
            handshakes([bare, other, ours], count, seconds)
        peaks([bare, other, ours])
    finally:
        place.stop()


if __name__ == "__main__":
    main()
