"""The configurations of the programs that are compared, on ports of this run.

Each proxy has one worker. The bare ones forward and do nothing else; the others do octroi's job: the session of
the cookie is looked up, its idle time slid, a rate limit counted, the backend chosen by the session, and
the backend told who acts."""

MODULES = "/usr/lib/nginx/modules"

LUA_MODULES = f"load_module {MODULES}/ndk_http_module.so; load_module {MODULES}/ngx_http_lua_module.so;"

NGINX = """
daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.err;
{modules}
events {{ worker_connections 19000; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
    client_body_temp_path {dir}/{name}.body; proxy_temp_path {dir}/{name}.proxy;
    fastcgi_temp_path {dir}/{name}.f; uwsgi_temp_path {dir}/{name}.u; scgi_temp_path {dir}/{name}.s;
    client_max_body_size 25m; proxy_request_buffering off; proxy_buffering {buffering};
    {http}
}}
"""

BACKEND = """
    sendfile on;
    server {{
        listen 127.0.0.1:{backend} backlog=4096; listen 127.0.0.1:{backend_http2} http2 backlog=4096;
        root {dir}/www; default_type text/html;
        location /json {{ default_type application/json; }}
        location /up {{
            client_body_buffer_size 11m; client_max_body_size 25m;
            content_by_lua_block {{ ngx.req.read_body() ngx.print("ok") }}
        }}
    }}
"""

UPSTREAM = """
    upstream caf_921 {{ server 127.0.0.1:{backend}; keepalive 512; keepalive_requests 1000000000; }}
"""

BARE = UPSTREAM + """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://caf_921; }}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl backlog=4096;
        ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; ssl_protocols TLSv1.3;
        ssl_session_tickets off; ssl_session_cache off;
        location / {{ return 200 "ok"; }}
    }}
"""

# The session is a JSON object under the hash of its cookie, as a script of this kind would keep it.
LUA = UPSTREAM + """
    lua_shared_dict limits 10m;
    init_by_lua_block {{ redis = require "nginx.redis"; cjson = require "cjson.safe" }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            set $caf ""; set $compte ""; set $siret "";
            access_by_lua_block {{
                local token = ngx.var.cookie_octroi
                if not token then return ngx.exit(401) end
                local key = "session:" .. ngx.encode_base64(ngx.sha1_bin(token))
                local store = redis:new()
                store:set_timeout(1000)
                if not store:connect("127.0.0.1", {redis}) then return ngx.exit(503) end
                store:init_pipeline()
                store:get(key)
                store:expire(key, 1800)
                local replies = store:commit_pipeline()
                if not replies then return ngx.exit(503) end
                store:set_keepalive(60000, 64)
                local session = type(replies[1]) == "string" and cjson.decode(replies[1])
                if not session then return ngx.exit(401) end
                local window = math.floor(ngx.now())
                local counted = ngx.shared.limits:incr(token .. window, 1, 0, 2)
                local by_client = ngx.shared.limits:incr(ngx.var.binary_remote_addr .. window, 1, 0, 2)
                if counted > 100000000 or by_client > 100000000 then return ngx.exit(429) end
                ngx.var.caf, ngx.var.compte, ngx.var.siret = session.caf, session.compte, session.siret
            }}
            proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header Cookie "";
            proxy_set_header X-Caf-Code $caf; proxy_set_header X-Esat-Compte $compte;
            proxy_set_header X-Esat-Siret $siret; proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded "for=$remote_addr;proto=$scheme";
            proxy_pass http://caf_$caf;
        }}
    }}
"""

# The service that is asked is the Lua above, without the forwarding.
AUTH_REQUEST = UPSTREAM + """
    upstream authority {{ server 127.0.0.1:{authority}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /asked {{
            internal; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://authority;
        }}
        location / {{
            auth_request /asked;
            auth_request_set $caf $upstream_http_x_caf_code;
            auth_request_set $compte $upstream_http_x_esat_compte;
            auth_request_set $siret $upstream_http_x_esat_siret;
            proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Cookie ""; proxy_set_header Host $http_host;
            proxy_set_header X-Caf-Code $caf; proxy_set_header X-Esat-Compte $compte;
            proxy_set_header X-Esat-Siret $siret; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_pass http://caf_$caf;
        }}
    }}
    lua_shared_dict limits 10m;
    init_by_lua_block {{ redis = require "nginx.redis"; cjson = require "cjson.safe" }}
    server {{
        listen 127.0.0.1:{authority} backlog=4096;
        location / {{
            content_by_lua_block {{
                local token = ngx.var.cookie_octroi
                if not token then return ngx.exit(401) end
                local key = "session:" .. ngx.encode_base64(ngx.sha1_bin(token))
                local store = redis:new()
                store:set_timeout(1000)
                if not store:connect("127.0.0.1", {redis}) then return ngx.exit(503) end
                store:init_pipeline()
                store:get(key)
                store:expire(key, 1800)
                local replies = store:commit_pipeline()
                if not replies then return ngx.exit(503) end
                store:set_keepalive(60000, 64)
                local session = type(replies[1]) == "string" and cjson.decode(replies[1])
                if not session then return ngx.exit(401) end
                ngx.header["X-Caf-Code"] = session.caf
                ngx.header["X-Esat-Compte"] = session.compte
                ngx.header["X-Esat-Siret"] = session.siret
                return ngx.exit(204)
            }}
        }}
    }}
"""

HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    http-reuse always
frontend f
    bind 127.0.0.1:{port} backlog 4096
    default_backend b
frontend t
    bind 127.0.0.1:{tls} ssl crt {dir}/both.pem ssl-min-ver TLSv1.3 no-tls-tickets backlog 4096
    http-request return status 200 content-type text/plain string ok
backend b
    server s 127.0.0.1:{backend} pool-max-conn -1
"""

OCTROI = """
[server]
listen = ["127.0.0.1:{port}"]
workers = 1
{tls}
[admin]
listen = "127.0.0.1:{admin}"
[store]
url = "redis://127.0.0.1:{redis}"
[limits]
per_client = {{ rate = "1000000/s", burst = 1000000 }}
per_session = {{ rate = "1000000/s", burst = 1000000 }}
[log]
format = "json"
[[volet]]
name = "certificat-emploi"
paths = ["/teleprocedure/certificat-emploi"]
opens = "12-01"
closes = "02-end"
[[caf]]
code = "921"
name = "Caf des Hauts-de-Seine"
contact = "partenaires@caf921.example"
backends = ["http://127.0.0.1:{backend}"]
"""
