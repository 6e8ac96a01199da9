{{/* Vestibule's configuration file: `config` of the values, and the fields that the chart sets. */}}

{{- define "vestibule.configuration" -}}
{{- $config := deepCopy .Values.config -}}
{{- $address := .Values.listenAddress -}}
{{- if contains ":" $address }}{{ $address = printf "[%s]" $address }}{{ end -}}
{{- $listen := dict -}}
{{- range $name, $port := .Values.ports }}{{ $_ := set $listen $name (printf "%s:%d" $address (int $port)) }}{{ end -}}
{{- $_ := set $config "listen" $listen -}}
{{- $_ := set $config "replicas" (include "vestibule.maxReplicas" . | int) -}}
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
The role map's ConfigMap as JSON, which preserves the last newline. `text`: its content. `rendered`: the digest of the document in
the values that it was generated from. `edited`: true if the ConfigMap was edited since, in which case the edited text is kept.
*/}}
{{- define "vestibule.roleMap.state" -}}
{{- $document := .Values.roleMap.document -}}
{{- $text := kindIs "string" $document | ternary $document (toYaml $document) | trimAll "\n" | printf "%s\n" -}}
{{- $state := dict "text" $text "rendered" (sha256sum $text) "edited" false -}}
{{- $live := lookup "v1" "ConfigMap" .Release.Namespace (include "vestibule.roleMapName" .) -}}
{{- if and $live (not .Values.roleMap.overwrite) -}}
{{- $held := get ($live.data | default dict) .Values.roleMap.key | default "" -}}
{{- $rendered := get ($live.metadata.annotations | default dict) "vestibule/rendered" | default "" -}}
{{- /* An edit that is now part of the values no longer counts as one. */}}
{{- if and (ne (sha256sum $held) $rendered) (ne $held $text) }}{{ $state = dict "text" $held "rendered" $rendered "edited" true }}{{ end -}}
{{- end -}}
{{- toJson $state -}}
{{- end -}}

{{/* Digest of the files that a running process does not reload. It reloads secrets, key ring and role map. */}}
{{- define "vestibule.checksum" -}}
{{- dict "configuration" (include "vestibule.configuration" .) "files" .Values.extraFiles | toJson | sha256sum -}}
{{- end -}}
