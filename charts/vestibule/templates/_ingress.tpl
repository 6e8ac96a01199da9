{{/* One Ingress. Takes root, suffix, annotations and paths, each a (dict "path" "service" "port"). */}}

{{- define "vestibule.ingress" -}}
{{- $values := .root.Values -}}
{{- $host := default (include "vestibule.publicHost" .root) $values.ingress.host -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "vestibule.fullname" .root }}-{{ .suffix }}
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
The check, as ingress-nginx is told of it. A header that isn't listed would be the client's own, so every one is that the answer
may have: who it is, and what the upstream gets of credentials and cookies, which `echo` puts there. All of it must fit into
the buffer. What a client says to gateways is listed for the same reason: the answer has none of it, so it ends here.
*/}}
{{- define "vestibule.ingress.check" -}}
{{- $identity := list "User" "Email" "Preferred-Username" "Groups" "Role" "Key" -}}
{{- $credentials := list "Authorization" "X-Vestibule-Assertion" "X-Api-Key" "X-Litellm-Api-Key" "Api-Key" "X-Goog-Api-Key" "Cookie" -}}
{{- $gateways := list "Proxy-Authorization" "X-Original-URL" "X-Original-Method" "X-Rewrite-URL" "X-Vestibule-Untouched" -}}
nginx.ingress.kubernetes.io/auth-url: http://{{ include "vestibule.checkHost" . }}:{{ .Values.ports.check }}/auth/nginx?echo=true
nginx.ingress.kubernetes.io/auth-response-headers: X-Auth-Request-{{ join ", X-Auth-Request-" $identity }}, {{ join ", " (concat $credentials $gateways) }}
nginx.ingress.kubernetes.io/proxy-buffer-size: 16k
{{- if eq .Values.ingress.controller "traefik" }}
{{/* What ingress-nginx sends by itself. Without it a client's own X-Original-URL would reach the check. */}}
nginx.ingress.kubernetes.io/auth-snippet: |
  proxy_set_header X-Original-URL $scheme://$host$request_uri;
  proxy_set_header X-Original-Method $request_method;
{{- end }}
{{- end -}}
