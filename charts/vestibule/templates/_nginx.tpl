{{/*
The configuration of deploy/nginx, with all variables replaced except the gateway secret. The block of the protected host is
repeated for each host.
*/}}
{{- define "vestibule.nginx.configuration" -}}
{{- $name := include "vestibule.fullname" . -}}
{{- $domain := printf "%s.svc.%s" .Release.Namespace .Values.clusterDomain -}}
{{- $parts := splitList "# The protected host." (.Files.Get "files/vestibule.conf.template") -}}
{{- $text := first $parts -}}
{{- range include "vestibule.gateway.hosts" . | fromJsonArray -}}
{{- $text = printf "%s# The protected host.%s" $text (last $parts | replace "${VESTIBULE_SERVER_NAME}" .) -}}
{{- end -}}
{{- $variables := dict
  "LISTEN" .Values.gateway.nginx.listen
  "PUBLIC_SERVERS" (printf "server %s-public.%s:%d max_fails=0;" $name $domain (int .Values.ports.public))
  "CHECK_SERVERS" (printf "server %s:%d max_fails=0;" (include "vestibule.checkHost" .) (int .Values.ports.check))
  "UPSTREAM" (printf "%s.%s:%d" (include "vestibule.upstreamService" .) $domain (int .Values.upstream.port))
  "ALLOW_SERVICE_WORKERS" (.Values.gateway.allowServiceWorkers | ternary "1" "") -}}
{{- if not (include "vestibule.requiresGatewaySecret" .) }}{{ $_ := set $variables "GATEWAY_SECRET" "" }}{{ end -}}
{{- /* Headers of static upstream credentials that the template does not have. */ -}}
{{- $line := "        proxy_set_header X-Rewrite-URL \"\";\n" -}}
{{- range include "vestibule.headers.upstream" . | fromJsonArray -}}
{{- if not (contains (printf "proxy_set_header %s " .) $text) -}}
{{- $name := lower . | replace "-" "_" -}}
{{- $copied := printf "        auth_request_set $vestibule_static_%s $upstream_http_%s;\n        proxy_set_header %s $vestibule_static_%s;\n" $name $name . $name -}}
{{- $text = replace $line (printf "%s%s" $line $copied) $text -}}
{{- end -}}
{{- end -}}
{{- range $variable, $value := $variables }}{{ $text = replace (printf "${VESTIBULE_%s}" $variable) $value $text }}{{ end -}}
{{- $text -}}
{{- end -}}
