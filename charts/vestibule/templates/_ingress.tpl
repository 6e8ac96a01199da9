{{/* The hosts of the Ingresses, as JSON. Browsers sign in at the first one. */}}
{{- define "vestibule.ingress.hosts" -}}
{{- prepend (include "vestibule.furtherHosts" . | fromJsonArray) (default (include "vestibule.publicHost" .) .Values.ingress.host) | uniq | toJson -}}
{{- end -}}

{{/* One Ingress of one host. Parameters: root, host, suffix, annotations, and paths, each a (dict "path" "service" "port"). */}}
{{- define "vestibule.ingress" -}}
{{- $values := .root.Values -}}
{{- $host := .host -}}
{{- $isFirst := eq $host (include "vestibule.ingress.hosts" .root | fromJsonArray | first) -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "vestibule.fullname" .root }}-{{ .suffix }}{{ if not $isFirst }}-{{ $host }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "vestibule.metadata" (dict "root" .root "annotations" (mergeOverwrite (dict) .annotations $values.ingress.annotations)) | nindent 2 }}
spec:
  {{- with $values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $values.ingress.tlsSecret }}
  tls:
    - hosts: [{{ $host | quote }}]
      secretName: {{ . }}
  {{- end }}
  rules:
    - host: {{ $host | quote }}
      http:
        paths:
          {{- range .paths }}
          - path: {{ .path | quote }}
            pathType: Prefix
            backend: {service: {name: {{ .service }}, port: {number: {{ .port }}}}}
          {{- end }}
{{- end -}}

{{/*
Annotations of ingress-nginx for the check. Parameters: root, host.

The check's URL names the host, so that a client cannot name another host and get its access rules. Each host has its own Ingress.

The upstream would receive the client's own value of a header that is not listed. The list therefore contains every header that
the check's answer may have: the identity, and the credentials and cookies for the upstream, which `echo` adds. Headers for
gateways are listed too: the answer does not contain them, so nginx removes the client's. The answer must fit into the buffer.
*/}}
{{- define "vestibule.ingress.check" -}}
nginx.ingress.kubernetes.io/auth-url: http://{{ include "vestibule.checkHost" .root }}:{{ .root.Values.ports.check }}/auth/nginx?host={{ .host }}&echo=true
nginx.ingress.kubernetes.io/auth-response-headers: {{ concat (include "vestibule.headers.upstream" .root | fromJsonArray) (include "vestibule.headers.gateways" .root | fromJsonArray) | join ", " }}
nginx.ingress.kubernetes.io/proxy-buffer-size: 16k
{{- with include "vestibule.gatewaySecretConfigMap" .root }}
nginx.ingress.kubernetes.io/auth-proxy-set-headers: {{ $.root.Release.Namespace }}/{{ . }}
{{- end }}
{{- if eq .root.Values.ingress.controller "traefik" }}
{{/* ingress-nginx sets these headers itself. Without them, the client's own X-Original-URL would reach the check. */}}
nginx.ingress.kubernetes.io/auth-snippet: |
  proxy_set_header X-Original-URL $scheme://$host$request_uri;
  proxy_set_header X-Original-Method $request_method;
  proxy_set_header X-Vestibule-Gateway-Secret "{{ .root.Values.ingress.gatewaySecret.value }}";
{{- end }}
{{- end -}}
