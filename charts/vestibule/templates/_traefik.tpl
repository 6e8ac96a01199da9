{{/* Parts of the objects for Traefik. */}}

{{/* A middleware that sets headers of requests, or removes those with an empty value. Parameters: root, suffix, set. */}}
{{- define "vestibule.traefik.headers" -}}
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: {{ include "vestibule.fullname" .root }}-{{ .suffix }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "vestibule.metadata" (dict "root" .root) | nindent 2 }}
spec:
  headers:
    customRequestHeaders:
      {{- range $name, $value := .set }}
      {{ $name }}: {{ $value | quote }}
      {{- end }}
{{- end -}}

{{/* Headers of the client that Traefik removes before the check, as JSON: names to empty values. */}}
{{- define "vestibule.traefik.cleared" -}}
{{- $set := dict }}{{ range include "vestibule.headers.removed" . | fromJsonArray }}{{ $_ := set $set . "" }}{{ end -}}
{{- toJson $set -}}
{{- end -}}

{{/* The upstream as a service of a route. */}}
{{- define "vestibule.traefik.upstream" -}}
{name: {{ include "vestibule.upstreamService" . }}, port: {{ .Values.upstream.port }}, serversTransport: {{ include "vestibule.fullname" . }}-upstream}
{{- end -}}

{{/* The middlewares of a protected route, the check last. Parameters: name, before (suffixes), check. */}}
{{- define "vestibule.traefik.middlewares" -}}
[{{ range .before }}{name: {{ $.name }}-{{ . }}}, {{ end }}{name: {{ .check }}}]
{{- end -}}
