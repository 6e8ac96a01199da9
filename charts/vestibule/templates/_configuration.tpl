{{/* Vestibule's configuration file: what the values say, and what is the chart's. */}}

{{- define "vestibule.configuration" -}}
{{- $config := deepCopy .Values.config -}}
{{- $address := .Values.listenAddress -}}
{{- if contains ":" $address }}{{ $address = printf "[%s]" $address }}{{ end -}}
{{- $listen := dict -}}
{{- range $name, $port := .Values.ports }}{{ $_ := set $listen $name (printf "%s:%d" $address (int $port)) }}{{ end -}}
{{- $_ := set $config "listen" $listen -}}
{{- $_ := set $config "replicas" (include "vestibule.mostReplicas" . | int) -}}
{{- $_ := set $config "shutdown" (dict "delay" (printf "%ds" (int .Values.shutdown.delaySeconds)) "deadline" (printf "%ds" (int .Values.shutdown.deadlineSeconds))) -}}
{{- if include "vestibule.keyRingName" . }}{{ $_ := set $config "key_ring_file" (printf "/etc/vestibule/key-ring/%s" .Values.keyRing.key) }}{{ end -}}
{{- if include "vestibule.roleMapName" . }}{{ $_ := set $config "role_map" (include "vestibule.configuration.roleMap" . | fromYaml) }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "vestibule.configuration.roleMap" -}}
{{- if .Values.roleMap.watch -}}
config_map:
  name: {{ include "vestibule.roleMapName" . | quote }}
  key: {{ .Values.roleMap.key | quote }}
  {{- with .Values.roleMap.namespace }}
  namespace: {{ . | quote }}
  {{- end }}
{{- with .Values.roleMap.fragments.selector }}
fragments:
  selector: {{ . | quote }}
{{- end }}
{{- else -}}
file: /etc/vestibule/role-map/{{ .Values.roleMap.key }}
{{- end -}}
{{- end -}}

{{/*
What the role map's ConfigMap holds, as JSON, which keeps a last newline: `text`; `rendered`, the digest of the values' document that it was last
made of; `edited`, whether somebody has edited it since, which is then what stays.
*/}}
{{- define "vestibule.roleMap.state" -}}
{{- $document := .Values.roleMap.document -}}
{{- $text := kindIs "string" $document | ternary $document (toYaml $document) | trimAll "\n" | printf "%s\n" -}}
{{- $state := dict "text" $text "rendered" (sha256sum $text) "edited" false -}}
{{- $live := lookup "v1" "ConfigMap" .Release.Namespace (include "vestibule.roleMapName" .) -}}
{{- if and $live (not .Values.roleMap.overwrite) -}}
{{- $held := get ($live.data | default dict) .Values.roleMap.key | default "" -}}
{{- $rendered := get ($live.metadata.annotations | default dict) "vestibule/rendered" | default "" -}}
{{- /* An edit that the values have taken over is none any more. */}}
{{- if and (ne (sha256sum $held) $rendered) (ne $held $text) }}{{ $state = dict "text" $held "rendered" $rendered "edited" true }}{{ end -}}
{{- end -}}
{{- toJson $state -}}
{{- end -}}

{{/* Changes with whatever a running process doesn't read again. Secrets, key ring and role map it does. */}}
{{- define "vestibule.checksum" -}}
{{- dict "configuration" (include "vestibule.configuration" .) "files" .Values.extraFiles | toJson | sha256sum -}}
{{- end -}}
