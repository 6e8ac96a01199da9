{{/* Directives of nginx for NGINX Gateway Fabric, which cannot contain the maps of deploy/nginx. */}}

{{/*
The check's location, and the answers to denied requests. Parameters: root, host.

The host is part of the check's URL, so that a client cannot choose the access rules of another host. With `echo`, the answer has
every header that the upstream receives.
*/}}
{{- define "vestibule.nginxFabric.server" -}}
{{- if not .root.Values.gateway.allowServiceWorkers -}}
# A service worker of the upstream would see every later response of this host, such as pages with keys.
if ($http_service_worker) {
    return 403;
}
{{ end -}}
location = /_vestibule_check {
    internal;
    proxy_pass http://{{ include "vestibule.checkHost" .root }}:{{ .root.Values.ports.check }}/auth/nginx?host={{ .host }}&echo=true;
    proxy_http_version 1.1;
    proxy_pass_request_body off;
    proxy_set_header Connection "";
    proxy_set_header Upgrade "";
    proxy_set_header Content-Length "";
    proxy_set_header X-Original-URL $scheme://$host$request_uri;
    proxy_set_header X-Original-Method $request_method;
    # An empty value removes the client's own header.
    proxy_set_header X-Vestibule-Gateway-Secret "{{ .root.Values.gateway.secret.value }}";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Request-ID $request_id;
    proxy_buffer_size 16k;
    proxy_buffers 4 16k;
    proxy_connect_timeout 1s;
    proxy_read_timeout 5s;
}
location @vestibule_sign_in {
    # Redirects contain no host, because nginx may not know the browser's scheme and port.
    absolute_redirect off;
    set $vestibule_script "$http_sec_fetch_site$http_sec_fetch_dest$http_sec_fetch_user$http_sec_fetch_storage_access$http_x_requested_with";
    set $vestibule_navigation "$request_method $http_upgrade$http_sec_websocket_key $http_sec_fetch_mode $vestibule_script $http_accept";
    if ($vestibule_sign_in = "") {
        set $vestibule_navigation "";
    }
    # Redirects browsers that open a page, by the rule of the check (docs/check.md). Programs and scripts of pages receive 401.
    if ($vestibule_navigation ~ "^GET  (?:navigate |  (?i)(?:.*,)?\s*text/html\s*(?![^,]*;\s*q=0[.0]*\s*(?:[,;]|$))(?:[;,]|$))") {
        return 302 $vestibule_sign_in;
    }
    default_type application/json;
    return 401 '{"error":"login_required","error_description":"Sign in or present a valid credential."}';
}
location @vestibule_unavailable {
    default_type application/json;
    add_header Retry-After 1 always;
    return 503 '{"error":"temporarily_unavailable","error_description":"The check could not be made. Try again."}';
}
{{- end -}}

{{/* The directives of protected locations. */}}
{{- define "vestibule.nginxFabric.location" -}}
# On a connection that is upgraded to HTTP/2 (`h2c`), clients could send requests without the check.
if ($http_upgrade !~* "^(websocket)?$") {
    return 400;
}
auth_request /_vestibule_check;
auth_request_set $vestibule_sign_in $upstream_http_x_vestibule_sign_in;
error_page 401 = @vestibule_sign_in;
error_page 500 = @vestibule_unavailable;
# The upstream receives the headers of the check's answer, and not the client's.
{{- range include "vestibule.headers.upstream" . | fromJsonArray }}
{{- $variable := lower . | replace "-" "_" }}
auth_request_set $vestibule_{{ $variable }} $upstream_http_{{ $variable }};
proxy_set_header {{ . }} $vestibule_{{ $variable }};
{{- end }}
{{- range include "vestibule.headers.removed" . | fromJsonArray }}
proxy_set_header {{ . }} "";
{{- end }}
# The upstream's response must not make nginx serve an internal location instead.
proxy_ignore_headers X-Accel-Redirect;
# Streams answers.
proxy_buffering off;
proxy_read_timeout 600s;
{{- end -}}
