{{/* The next steps of the operator, by type of gateway. */}}

{{- define "vestibule.notes.ingress-nginx" -}}
The Ingresses {{ include "vestibule.fullname" . }}-upstream and {{ include "vestibule.fullname" . }}-public configure ingress-nginx. The project was retired in March 2026: plan a
   move to another gateway (docs/kubernetes-gateways.md).
{{- end -}}

{{- define "vestibule.notes.traefik" -}}
The IngressRoute {{ include "vestibule.fullname" . }}-gateway configures Traefik, which needs its provider `kubernetesCRD` and, for each entry
   point of {{ join ", " .Values.gateway.traefik.entryPoints }}:
     --entrypoints.NAME.http.aliasheadersstrategy=delete
   Without it, clients can send X_Auth_Request_User, which many upstreams read as X-Auth-Request-User.
{{- end -}}

{{- define "vestibule.notes.envoy-gateway" -}}
The HTTPRoutes {{ include "vestibule.fullname" . }}-public and {{ include "vestibule.fullname" . }}-upstream and the SecurityPolicy {{ include "vestibule.fullname" . }}-check configure Envoy Gateway. Verify
   that the SecurityPolicy is accepted: without it, the upstream is open to everyone.
     kubectl --namespace {{ .Release.Namespace }} get securitypolicy {{ include "vestibule.fullname" . }}-check -o yaml
{{- if include "vestibule.gatewaySecretName" . }}
   Envoy must add the gateway secret before the check; otherwise the check refuses all requests. Add to the EnvoyProxy of the
   Gateway or of its GatewayClass:
     spec:
       filterOrder:
         - {name: envoy.filters.http.credential_injector, before: envoy.filters.http.ext_authz}
{{- end }}
{{- end -}}

{{- define "vestibule.notes.istio" -}}
Add the extension provider{{ if .Values.config.origins }}s{{ end }} of the AuthorizationPolic{{ empty .Values.config.origins | ternary "y" "ies" }} to the mesh configuration of Istio. Without it, Istio denies all requests.
{{- if include "vestibule.requiresGatewaySecret" . }}
   Replace GATEWAY-SECRET by the gateway secret. Anyone who can read the mesh configuration reads it.
{{- end }}
     extensionProviders:
{{- range $host := include "vestibule.gateway.hosts" . | fromJsonArray }}
{{ include "vestibule.istio.extensionProvider" (dict "root" $ "host" $host) | indent 5 }}
{{- end }}
   Make the Gateway refuse header names with underscores, by an EnvoyFilter with `headers_with_underscores_action:
   REJECT_REQUEST`. Otherwise upstreams that read them as dashes accept forged identity headers.
{{- end -}}

{{- define "vestibule.notes.gateway-api" -}}
The HTTPRoutes {{ include "vestibule.fullname" . }}-public and {{ include "vestibule.fullname" . }}-upstream configure the gateway. The filter ExternalAuth is in the
   experimental channel of the Gateway API. Verify that your gateway supports it and is based on Envoy: other gateways do not
   remove the credentials and cookies that the upstream must not receive. Make it refuse header names with underscores, or
   upstreams that read them as dashes accept forged identity headers.
     kubectl --namespace {{ .Release.Namespace }} get httproute {{ include "vestibule.fullname" . }}-upstream -o yaml
{{- end -}}

{{- define "vestibule.notes.nginx-gateway-fabric" -}}
The HTTPRoutes {{ include "vestibule.fullname" . }}-public and {{ include "vestibule.fullname" . }}-upstream and the SnippetsFilter {{ include "vestibule.fullname" . }}-check configure NGINX Gateway Fabric,
   which accepts SnippetsFilters with the Helm value `nginxGateway.snippets.enable` or `nginxGateway.snippetsFilters.enable`.
{{- end -}}

{{- define "vestibule.notes.haproxy" -}}
The Ingresses {{ include "vestibule.fullname" . }}-upstream and {{ include "vestibule.fullname" . }}-public configure HAProxy Ingress 0.16 or later (haproxy-ingress.github.io), which must
   accept the configuration keys `config-backend-early` and `config-backend-late`. No other Ingress may set these keys for the
   upstream's Service.
{{- end -}}

{{- define "vestibule.notes.nginx" -}}
Mount the ConfigMap {{ include "vestibule.fullname" . }}-nginx as /etc/nginx/templates in pods of the official nginx image
{{- if include "vestibule.requiresGatewaySecret" . }} and set the environment variable
   VESTIBULE_GATEWAY_SECRET to the gateway secret, from a Secret
{{- end }}. Restart these pods after an upgrade that changes the ConfigMap.
{{- end -}}
