"""Renders Ingresses as nginx directives like ingress-nginx, for the check only, following the controller's template. It escapes
URLs with njs, because this nginx does not have the controller's module."""

from urllib.parse import urlsplit

ANNOTATION = "nginx.ingress.kubernetes.io/"
ESCAPE = "export default { uri: (r) => encodeURIComponent(r.variables.request_uri) };\n"

HTTP = """\
worker_processes 1;
daemon off;
pid /tmp/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    js_path {folder};
    js_import escape from escape.js;
    js_set $escaped_request_uri escape.uri;
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        "" "";
    }}
    server {{
        listen 8443 ssl;
        server_name {host};
        ssl_certificate {folder}/tls/tls.crt;
        ssl_certificate_key {folder}/tls/tls.key;
{locations}    }}
}}
"""

CHECK = """\
        location = {check} {{
            internal;
            proxy_intercept_errors off;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Forwarded-Proto "";
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header Host {check_host};
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Sent-From "nginx-ingress-controller";
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Auth-Request-Redirect $request_uri;
{headers}            proxy_buffering off;
            proxy_buffer_size {buffer};
            proxy_buffers 4 {buffer};
            client_max_body_size {body};
            proxy_http_version 1.1;
            proxy_pass {auth_url};
        }}
"""

SIGN_IN = """\
        location @sign-in-{number} {{
            internal;
            add_header Set-Cookie $auth_cookie;
            return 302 {sign_in}?rd=$scheme://$http_host$escaped_request_uri;
        }}
"""

ASKED = """\
            auth_request {check};
            auth_request_set $auth_cookie $upstream_http_set_cookie;
            add_header Set-Cookie $auth_cookie;
"""

HEADER = """\
            auth_request_set $authHeader{index} $upstream_http_{variable};
            proxy_set_header '{name}' $authHeader{index};
"""

LOCATION = """\
        location {path} {{
{asked}            client_max_body_size {body};
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Scheme $scheme;
            proxy_set_header X-Scheme $scheme;
            proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
            proxy_set_header X-Original-Forwarded-Host $http_x_forwarded_host;
            proxy_set_header Proxy "";
            proxy_read_timeout {timeout}s;
            proxy_buffering off;
            proxy_buffer_size {buffer};
            proxy_buffers 4 {buffer};
            proxy_http_version 1.1;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries 3;
            proxy_pass {backend};
        }}
"""


def configuration(ingresses, config_maps, folder):
    """The configuration for Ingresses with one host and one certificate, which is in `tls` of the folder. `config_maps` has the
    headers of `auth-proxy-set-headers`: names of ConfigMaps with their namespace to headers."""
    (host,) = {rule["host"] for one in ingresses for rule in one["spec"]["rules"]}
    paths = [(one, path) for one in ingresses for rule in one["spec"]["rules"] for path in rule["http"]["paths"]]
    locations = "".join(locations_of(one, path, number, config_maps) for number, (one, path) in enumerate(paths))
    return HTTP.format(host=host, folder=folder, locations=locations)


def locations_of(ingress, path, number, config_maps):
    told = {name.removeprefix(ANNOTATION): value for name, value in ingress["metadata"].get("annotations", {}).items()}
    unknown = {name for name in told if name.endswith("-snippet")}
    if unknown:
        # The controller's admission webhook rejects them, unless the operator has allowed them.
        raise AssertionError(f"ingress-nginx takes no snippets by default: {unknown}")
    service, check = path["backend"]["service"], f"/_external-auth-{number}"
    backend = f"http://{service['name']}.{ingress['metadata']['namespace']}.svc.cluster.local:{service['port']['number']}"
    more = {
        "number": number, "check": check, "backend": backend, "auth_url": told.get("auth-url"), "sign_in": told.get("auth-signin"),
        "body": told.get("proxy-body-size", "1m"), "timeout": told.get("proxy-read-timeout", "60"),
        "buffer": told.get("proxy-buffer-size", "4k"),
        "headers": check_headers(config_maps.get(told.get("auth-proxy-set-headers"), {})),
    }
    text, asked = "", ""
    if more["auth_url"]:
        text += CHECK.format(check_host=urlsplit(more["auth_url"]).hostname, **more)
        asked = ASKED.format(**more) + response_headers(told.get("auth-response-headers", ""))
    if more["sign_in"]:
        text += SIGN_IN.format(**more)
        asked += f"            error_page 401 = @sign-in-{number};\n"
    return text + "".join(LOCATION.format(path=location, asked=asked, **more) for location in prefixes(path["path"]))


def check_headers(headers):
    return "".join(f"            proxy_set_header '{name}' '{value}';\n" for name, value in headers.items())


def response_headers(listed):
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return "".join(HEADER.format(index=index, name=name, variable=name.lower().replace("-", "_"))
                   for index, name in enumerate(names))


def prefixes(path):
    """A Prefix of an Ingress matches whole path segments."""
    return ["/"] if path == "/" else [f"= {path}", f"{path.rstrip('/')}/"]
