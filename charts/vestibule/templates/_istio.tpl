{{/* Istio's extension provider for one host: its name, and its entry in the mesh configuration. Parameters: root, host. */}}

{{- define "vestibule.istio.provider" -}}
{{- printf "%s.%s.%s" (include "vestibule.fullname" .root) .root.Release.Namespace .host -}}
{{- end -}}

{{- define "vestibule.istio.extensionProvider" -}}
- name: {{ include "vestibule.istio.provider" . }}
  envoyExtAuthzHttp:
    service: {{ include "vestibule.checkHost" .root }}
    port: {{ .root.Values.ports.check }}
    pathPrefix: {{ include "vestibule.envoyPath" .host }}
    timeout: 5s
    failOpen: false
    statusOnError: "503"
    includeRequestHeadersInCheck:
      {{- include "vestibule.headers.check" .root | fromJsonArray | toYaml | nindent 6 }}
    {{- if include "vestibule.requiresGatewaySecret" .root }}
    includeAdditionalHeadersInCheck:
      X-Vestibule-Gateway-Secret: GATEWAY-SECRET
    {{- end }}
    headersToUpstreamOnAllow:
      {{- include "vestibule.headers.upstream" .root | fromJsonArray | toYaml | nindent 6 }}
    headersToDownstreamOnDeny:
      {{- include "vestibule.headers.denial" .root | fromJsonArray | toYaml | nindent 6 }}
{{- end -}}
