{{/* Ingresses for HAProxy Ingress (haproxy-ingress.github.io, 0.16 or later). */}}

{{/* One Ingress of one host. Parameters: root, host, suffix, annotations, and paths, each a (dict "path" "service" "port"). */}}
{{- define "vestibule.haproxy.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "vestibule.gateway.name" . }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "vestibule.metadata" (dict "root" .root "annotations" (mergeOverwrite (dict) .annotations .root.Values.gateway.annotations)) | nindent 2 }}
spec:
  ingressClassName: {{ .root.Values.gateway.className | default "haproxy" }}
  {{- with .root.Values.gateway.tlsSecret }}
  tls:
    - hosts: [{{ $.host | quote }}]
      secretName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .host | quote }}
      http:
        paths:
          {{- range .paths }}
          - path: {{ .path | quote }}
            pathType: Prefix
            backend: {service: {name: {{ .service }}, port: {number: {{ .port }}}}}
          {{- end }}
{{- end -}}

{{/*
Annotations for the check. Parameters: root, host.

HAProxy Ingress adds headers of the check's answer to those of the client. With `-` it puts them into variables instead, from which
the last snippet sets each header, or removes the client's. The port of the Service is its target port, as HAProxy Ingress requires.
*/}}
{{- define "vestibule.haproxy.check" -}}
haproxy-ingress.github.io/auth-url: svc://{{ include "vestibule.fullname" .root }}-check:check/auth/haproxy?host={{ .host }}&echo=true
haproxy-ingress.github.io/auth-method: GET
haproxy-ingress.github.io/auth-headers-request: "*"
haproxy-ingress.github.io/auth-headers-succeed: "-"
haproxy-ingress.github.io/auth-headers-fail: {{ include "vestibule.headers.denial" .root | fromJsonArray | join "," }}
haproxy-ingress.github.io/config-backend-early: |
  # Headers that only gateways set, and names that some upstreams read as these.
  http-request del-header x-auth-request- -m beg
  http-request del-header x-vestibule- -m beg
  {{- range include "vestibule.headers.removed" .root | fromJsonArray }}
  http-request del-header {{ . }}
  {{- end }}
  http-request del-header [^A-Za-z0-9-] -m reg
  # The upstream receives no absolute URL. The condition refuses requests without a path, such as `OPTIONS *`.
  http-request deny deny_status 400 unless { path -m beg / }
  http-request set-uri %[pathq]
  {{- if not .root.Values.gateway.allowServiceWorkers }}
  # A service worker of the upstream would see every later response of this host, such as pages with keys.
  http-request deny deny_status 403 if { req.hdr(Service-Worker) -m found }
  {{- end }}
  # Clients may only upgrade to WebSocket. On a connection that is upgraded to HTTP/2 (`h2c`), they could send requests without
  # the check.
  acl vestibule_websocket req.fhdr(upgrade) -m str -i websocket
  acl vestibule_one_upgrade req.fhdr_cnt(upgrade) eq 1
  http-request del-header upgrade unless vestibule_websocket vestibule_one_upgrade
  http-request set-header connection upgrade if vestibule_websocket vestibule_one_upgrade
  http-request del-header connection unless vestibule_websocket vestibule_one_upgrade
  http-request set-header X-Forwarded-Method %[method]
  # `hdr` reads only the last host of a list, so lists are refused.
  http-request deny deny_status 400 unless { req.hdr_cnt(host) eq 1 }
  http-request set-header X-Forwarded-Host %[req.fhdr(host)]
  http-request set-header X-Forwarded-Uri %[pathq]
  {{- with .root.Values.gateway.secret.value }}
  http-request set-header X-Vestibule-Gateway-Secret {{ . }}
  {{- end }}
haproxy-ingress.github.io/config-backend-late: |
  {{- range include "vestibule.headers.upstream" .root | fromJsonArray }}
  {{- $variable := printf "var(req.auth_response_header.%s)" (lower . | replace "-" "_") }}
  http-request del-header {{ . }}
  http-request set-header {{ . }} %[{{ $variable }}] if { {{ $variable }} -m found }
  {{- end }}
  http-request del-header X-Vestibule-Gateway-Secret
  http-request del-header X-Forwarded-Method
  http-request del-header X-Forwarded-Uri
{{- end -}}
