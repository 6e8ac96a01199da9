{{/* The filters of a protected HTTPRoute, by type of gateway. Parameters: root, host. */}}

{{- define "vestibule.routeFilters.envoy-gateway" -}}
{{ include "vestibule.routeFilters.removal" . }}
{{- if include "vestibule.gatewaySecretName" .root }}
- type: ExtensionRef
  extensionRef: {group: gateway.envoyproxy.io, kind: HTTPRouteFilter, name: {{ include "vestibule.fullname" .root }}-gateway-secret}
{{- end -}}
{{- end -}}

{{/* Istio's AuthorizationPolicy sends the auth request. */}}
{{- define "vestibule.routeFilters.istio" -}}
{{ include "vestibule.routeFilters.removal" . }}
{{- end -}}

{{- define "vestibule.routeFilters.gateway-api" -}}
{{ include "vestibule.routeFilters.removal" . }}
- type: ExternalAuth
  externalAuth:
    protocol: HTTP
    backendRef: {name: {{ include "vestibule.fullname" .root }}-check, port: {{ .root.Values.ports.check }}}
    http:
      path: {{ include "vestibule.envoyPath" .host }}
      allowedHeaders:
        {{- include "vestibule.headers.check" .root | fromJsonArray | toYaml | nindent 8 }}
      allowedResponseHeaders:
        {{- include "vestibule.headers.upstream" .root | fromJsonArray | toYaml | nindent 8 }}
{{- end -}}

{{- define "vestibule.routeFilters.nginx-gateway-fabric" -}}
- type: ExtensionRef
  extensionRef: {group: gateway.nginx.org, kind: SnippetsFilter, name: {{ include "vestibule.gateway.name" (dict "root" .root "suffix" "check" "host" .host) }}}
{{- end -}}

{{/* The check in the protocol of Envoy reads none of these headers, except the gateway secret, which Envoy removes after the check. */}}
{{- define "vestibule.routeFilters.removal" -}}
- type: RequestHeaderModifier
  requestHeaderModifier:
    remove:
      {{- include "vestibule.headers.removed" .root | fromJsonArray | toYaml | nindent 6 }}
{{- end -}}
