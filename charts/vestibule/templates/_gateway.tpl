{{/* Parts that the gateways have in common: hosts, paths, headers and the gateway secret. */}}

{{/* "yes" if the chart creates Ingresses for ingress-nginx or for Traefik's provider of its annotations. */}}
{{- define "vestibule.usesIngress" -}}
{{- if or .Values.ingress.enabled (eq .Values.gateway.type "ingress-nginx") -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if the gateway serves HTTPRoutes that the chart protects. */}}
{{- define "vestibule.protectsHTTPRoutes" -}}
{{- if has .Values.gateway.type (list "envoy-gateway" "istio" "gateway-api" "nginx-gateway-fabric") -}}yes{{- end -}}
{{- end -}}

{{/* Paths of Vestibule's own pages and APIs, which gateways route without a check, as JSON. Each includes all paths below it. */}}
{{- define "vestibule.ownPaths" -}}
{{- list "/sso" "/vestibule" "/onboarding" | toJson -}}
{{- end -}}

{{/* The hosts that the gateway serves, as JSON. Browsers sign in at the first one. */}}
{{- define "vestibule.gateway.hosts" -}}
{{- prepend (include "vestibule.furtherHosts" . | fromJsonArray) (include "vestibule.publicHost" .) | uniq | toJson -}}
{{- end -}}

{{/* The name of an object of one host. Parameters: root, suffix, host. */}}
{{- define "vestibule.gateway.name" -}}
{{- $isFirst := eq .host (include "vestibule.gateway.hosts" .root | fromJsonArray | first) -}}
{{- printf "%s-%s%s" (include "vestibule.fullname" .root) .suffix ($isFirst | ternary "" (printf "-%s" .host)) -}}
{{- end -}}

{{/* Headers with the user's identity, as JSON. The check's answer has each of them, possibly empty. */}}
{{- define "vestibule.headers.identity" -}}
{{- $names := list }}{{ range list "User" "Email" "Preferred-Username" "Groups" "Role" "Key" }}{{ $names = append $names (printf "X-Auth-Request-%s" .) }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{/* Further headers for the upstream, as JSON: assertion, credentials and cookies. The upstream receives those of the check's answer. */}}
{{- define "vestibule.headers.credentials" -}}
{{- $names := list "Authorization" "X-Vestibule-Assertion" "X-Api-Key" "X-Litellm-Api-Key" "Api-Key" "X-Goog-Api-Key" "Ocp-Apim-Subscription-Key" "Cookie" -}}
{{- range (.Values.config.upstream_credential | default dict).static }}{{ if .header }}{{ if not (has (lower .header) (splitList " " (join " " $names | lower))) }}{{ $names = append $names .header }}{{ end }}{{ end }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{/* All headers of the check's answer for the upstream, as JSON. */}}
{{- define "vestibule.headers.upstream" -}}
{{- concat (include "vestibule.headers.identity" . | fromJsonArray) (include "vestibule.headers.credentials" . | fromJsonArray) | toJson -}}
{{- end -}}

{{/* Headers for gateways and for the check, as JSON. The upstream must not receive the client's values. */}}
{{- define "vestibule.headers.gateways" -}}
{{- list "Proxy-Authorization" "X-Original-URL" "X-Original-Method" "X-Rewrite-URL" "X-Vestibule-Untouched" "X-Vestibule-Removed" "X-Vestibule-Gateway-Secret" | toJson -}}
{{- end -}}

{{/* Further headers with the original request, as JSON. Some frameworks route by them instead of the path that the check authorized. */}}
{{- define "vestibule.headers.original" -}}
{{- list "X-Forwarded-Uri" "X-Forwarded-Method" "X-Envoy-Original-Path" | toJson -}}
{{- end -}}

{{/* All headers of the client that only gateways set, as JSON. */}}
{{- define "vestibule.headers.removed" -}}
{{- concat (include "vestibule.headers.gateways" . | fromJsonArray) (include "vestibule.headers.original" . | fromJsonArray) | toJson -}}
{{- end -}}

{{/* Headers of the client that gateways based on Envoy must send to the check, as JSON. They send only Authorization by themselves. */}}
{{- define "vestibule.headers.check" -}}
{{- list "Cookie" "X-Api-Key" "X-Litellm-Api-Key" "Api-Key" "X-Goog-Api-Key" "Ocp-Apim-Subscription-Key" "X-Forwarded-Proto" "X-Forwarded-For" "X-Request-Id" "Accept" "Accept-Language" "Connection" "Origin" "Sec-Fetch-Mode" "Sec-Fetch-Dest" "Sec-Fetch-Site" "X-Requested-With" "Upgrade" "Sec-WebSocket-Key" | toJson -}}
{{- end -}}

{{/* Headers of a denial for the client, as JSON. */}}
{{- define "vestibule.headers.denial" -}}
{{- list "Location" "WWW-Authenticate" "Retry-After" "Content-Type" "Cache-Control" "Vary" "X-Request-Id" "Content-Security-Policy" "X-Content-Type-Options" "X-Frame-Options" "Referrer-Policy" "Cross-Origin-Opener-Policy" "Cross-Origin-Embedder-Policy" | toJson -}}
{{- end -}}

{{/* The fields of `gateway.secret` from which the gateway can send the gateway secret, as JSON. */}}
{{- define "vestibule.gateway.secretFields" -}}
{{- get (dict "traefik" (list "value") "nginx-gateway-fabric" (list "value") "haproxy" (list "value") "envoy-gateway" (list "value" "existingSecret")) .Values.gateway.type | default list | toJson -}}
{{- end -}}

{{/* The Secret with the gateway secret for Envoy Gateway. Empty without one. */}}
{{- define "vestibule.gatewaySecretName" -}}
{{- with .Values.gateway.secret -}}
{{- if .value -}}{{ include "vestibule.fullname" $ }}-gateway-secret{{- else -}}{{ .existingSecret }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Path prefix of auth requests in the protocol of Envoy. The host comes from the chart, so that a client cannot choose the access
rules of another host. Parameter: the host. */}}
{{- define "vestibule.envoyPath" -}}
/auth/envoy/{{ . }}
{{- end -}}

{{/* The matches of an HTTPRoute rule for Vestibule's own pages. */}}
{{- define "vestibule.ownMatches" -}}
{{- range include "vestibule.ownPaths" . | fromJsonArray }}
- path: {type: PathPrefix, value: {{ . }}}
{{- end }}
{{- end -}}
