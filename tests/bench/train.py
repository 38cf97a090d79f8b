"""What the packaged binary is laid out for: `deploy/build` runs its instrumented twin through this, some 45 seconds.

The bench's own load, then what else users do, so that none of it ends among the code that is never run: browsers'
requests, pages that get the script, forms, large bodies, TLS, HTTP/2 on both sides, new connections, refusals, sign-ins."""

import argparse
import http.client
import json
import subprocess
import time

import bench
import configs
import flood

BROWSER = {
    "Host": "esat.extranet.example",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept-Language": "fr,fr-FR;q=0.8,en-US;q=0.5,en;q=0.3",
    "Referer": "http://esat.extranet.example/teleprocedure/changement-activite",
}
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FORM = "application/x-www-form-urlencoded"

# Each request of a sitting, in turn: method, path, further headers, body. A page is one in ten, as in a sitting.
SITTING = [
    ("GET", "/page", {"Accept": PAGE, "Accept-Encoding": "gzip, deflate, br", "Sec-Fetch-Dest": "document"}, ""),
    *[("GET", "/1k", {"Accept": "text/css,*/*;q=0.1", "Sec-Fetch-Dest": "style"}, "")] * 3,
    *[("GET", "/json?page=2", {"Accept": "application/json", "Sec-Fetch-Dest": "empty"}, "")] * 3,
    ("POST", "/up", {"Content-Type": FORM, "Accept": "*/*", "Sec-Fetch-Site": "same-origin"}, "nom=Tilleul&" * 40),
    ("POST", "/up", {"Content-Type": "application/json", "Accept": "application/json"}, json.dumps({"nom": "x" * 500})),
    ("GET", "/1k", {"Accept": "*/*", "If-None-Match": '"x"'}, ""),
]


def sitting(place, cookie):
    """A script for wrk that asks all of SITTING, again and again."""
    quote = lambda text: json.dumps(text).replace("\\u00", "\\x")
    lines = ["local asked, next = {}, 0", "init = function()"]
    for method, path, headers, body in SITTING:
        given = {**BROWSER, **headers, "Cookie": f"session_caf=abc; {cookie}; theme=clair"}
        fields = ", ".join(f"[{quote(name)}] = {quote(value)}" for name, value in given.items())
        body = quote(body) if body else "nil"
        lines.append(f"asked[#asked + 1] = wrk.format({quote(method)}, {quote(path)}, {{{fields}}}, {body})")
    lines += ["end", "request = function() next = next % #asked + 1; return asked[next] end"]
    return place.write("sitting.lua", "\n".join(lines))


def http2_gateway(place):
    """A second gateway over the same sessions, which speaks HTTP/2 with its clients and without TLS with the backend."""
    port, admin = bench.free_port(), bench.free_port()
    pair = f'[server.tls]\ncertificate = "{place.dir}/cert.pem"\nkey = "{place.dir}/key.pem"\n'
    ports = {**place.ports, "port": port, "admin": admin, "backend": place.ports["backend_http2"]}
    text = configs.OCTROI.format(tls=pair, **ports) + 'protocol = "http2"\n'
    path = place.write("octroi-http2.toml", text)
    place.start(0, place.octroi, "run", "--config", path)
    bench.wait_until("octroi with HTTP/2", lambda: bench.listens(port))
    return port


def h2load(port, path, seconds, cookie, *more):
    command = bench.pinned(1, "h2load", "-t1", "-c8", "-m8", "-D", str(seconds), "-H", f"cookie: {cookie}", *more)
    run = subprocess.run([*command, f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True)
    if "2xx, 0 3xx, 0 4xx, 0 5xx" not in run.stdout or " 0 2xx" in run.stdout:
        raise SystemExit(f"h2load {path}: {run.stdout}{run.stderr}")


def portal(binary):
    """Sign-ins and the portal's pages and answers, at the embedded default."""
    gateway, address = flood.start(binary)
    try:
        connection = http.client.HTTPConnection(address, timeout=20)

        def ask(method, path, body=None, **headers):
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            answer.read()
            return answer

        for _ in range(10):
            ask("GET", "/", Accept=PAGE)
            ask("GET", "/", Accept="application/json")
            ask("GET", "/portail/connexion", Accept=PAGE)
            flood.sign_in(connection, "une.caf@esat.example", "Faux-2026")
            signed_in = flood.sign_in(connection, "plusieurs.cafs@esat.example", "Platane-2026")
            cookie = signed_in.getheader("set-cookie").split(";")[0]
            chosen = ask("POST", "/portail/caf", "caf=751", Content_Type=FORM, Accept=PAGE, Cookie=cookie)
            cookie = chosen.getheader("set-cookie").split(";")[0]
            for path in ("/", "/portail/session", "/portail/caf", "/portail/mot-de-passe", "/portail/quitter"):
                for kind in (PAGE, "application/json"):
                    ask("GET", path, Accept=kind, Cookie=cookie)
            ask("POST", "/portail/session/continuer", Accept="application/json", Cookie=cookie)
            ask("GET", "/", Accept="application/json", Cookie=cookie, X_Caf_Code="921")
            ask("POST", "/portail/deconnexion", Accept=PAGE, Cookie=cookie)
    finally:
        gateway.terminate()
        gateway.wait(40)


def train(place, seconds):
    """`seconds` for the bench's own requests, and the rest in proportion."""
    page = "<!doctype html><html lang=fr><head><title>Déclaration</title></head><body>" + "<p>Tilleul</p>\n" * 200
    place.write("www/page", page)
    place.write("www/json", json.dumps({"salaries": [{"nom": f"n{n}", "heures": n} for n in range(20)]}))
    place.background()
    ours = bench.octroi(place)
    http2 = http2_gateway(place)
    cookie = ours.headers[0].split(": ", 1)[1]
    cookies = f"{cookie}; __Host-{cookie}"
    share = max(seconds // 3, 1)
    stranger = bench.Proxy("nobody", ours.port, ours.process, headers=(f"Accept: {PAGE}",))
    leaving = bench.Proxy("new connections", ours.port, ours.process, headers=(*ours.headers, "Connection: close"))

    bench.wrk(ours, "/1k", seconds, 64)
    bench.wrk(ours, "/1k", seconds // 2, 64, sitting(place, cookie))
    bench.wrk(ours, "/10m", share, 8)
    bench.wrk(ours, "/up", share, 8, bench.upload_script(place, 1))
    bench.wrk(stranger, "/1k", share, 16)
    bench.wrk(leaving, "/1k", share, 16)
    for path in ("/1k", "/json"):
        h2load(http2, path, share, cookies)
    h2load(ours.tls, "/1k", share, cookies, "--h1")
    h2load(ours.tls, "/1k", share, cookies)
    bench.shake_hands(ours.tls, share)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--octroi", required=True, help="the instrumented binary")
    arguments.add_argument("--seconds", type=int, default=10, help="for the bench's own requests; all takes five times that")
    options = arguments.parse_args()
    began = time.monotonic()
    place = bench.Place(options.octroi)
    try:
        train(place, options.seconds)
    finally:
        place.stop(40)
    portal(options.octroi)
    print(f"trained for {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
