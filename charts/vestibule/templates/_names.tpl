{{/* Names and labels. */}}

{{- define "vestibule.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Leaves room for what is added to it: an object's name may have 63 characters. */}}
{{- define "vestibule.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods. The pods of another chart carry them in embedded mode. */}}
{{- define "vestibule.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vestibule.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: door
{{- end -}}

{{- define "vestibule.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "vestibule.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of everything, and annotations: their own (a map) and the common ones. Takes (dict "root" $ "annotations" …). */}}
{{- define "vestibule.metadata" -}}
labels:
  {{- include "vestibule.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "vestibule.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "vestibule.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Takes an `image` of the values and the tag to use where none is given. */}}
{{- define "vestibule.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The host of `config.public_url`, without its port. */}}
{{- define "vestibule.publicHost" -}}
{{- regexReplaceAll "^https?://(\\[[^\\]]*\\]|[^/:]*).*$" .Values.config.public_url "${1}" | lower -}}
{{- end -}}

{{- define "vestibule.checkHost" -}}
{{- printf "%s-check.%s.svc.%s" (include "vestibule.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/* The Service that leads to what is protected; empty where the values name none. */}}
{{- define "vestibule.upstreamService" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- printf "%s-upstream" (include "vestibule.fullname" .) -}}
{{- else -}}
{{- .Values.upstream.serviceName -}}
{{- end -}}
{{- end -}}

{{/* How many pods there may be at most. */}}
{{- define "vestibule.mostReplicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.maxReplicas }}{{- else -}}{{ .Values.replicaCount }}{{- end -}}
{{- end -}}

{{/* "yes" where there is no Redis. */}}
{{- define "vestibule.memoryStore" -}}
{{- $store := .Values.config.store | default dict -}}
{{- if eq ($store.url | default "memory") "memory" -}}yes{{- end -}}
{{- end -}}

{{- define "vestibule.secretsName" -}}
{{- if .Values.secrets.existingSecret -}}
{{- .Values.secrets.existingSecret -}}
{{- else if .Values.secrets.values -}}
{{- printf "%s-secrets" (include "vestibule.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Empty where no key ring is needed: what the memory store holds ends with the process. */}}
{{- define "vestibule.keyRingName" -}}
{{- if .Values.keyRing.existingSecret -}}
{{- .Values.keyRing.existingSecret -}}
{{- else if or .Values.keyRing.value (not (include "vestibule.memoryStore" .)) -}}
{{- printf "%s-key-ring" (include "vestibule.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* What the chart's own key ring holds in the cluster, as JSON: names to base64. */}}
{{- define "vestibule.heldKeyRing" -}}
{{- (lookup "v1" "Secret" .Release.Namespace (include "vestibule.keyRingName" .) | default dict).data | default dict | toJson -}}
{{- end -}}

{{/* Empty where there is no role map. */}}
{{- define "vestibule.roleMapName" -}}
{{- if .Values.roleMap.existingConfigMap -}}
{{- .Values.roleMap.existingConfigMap -}}
{{- else if .Values.roleMap.document -}}
{{- printf "%s-roles" (include "vestibule.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* "yes" where the role map is watched. */}}
{{- define "vestibule.watches" -}}
{{- if and .Values.roleMap.watch (include "vestibule.roleMapName" .) -}}yes{{- end -}}
{{- end -}}

{{/* "yes" where ServiceAccounts' tokens are taken, "review" where the API server is asked about each. */}}
{{- define "vestibule.workloads" -}}
{{- range .Values.config.token_issuers }}{{ if eq (.kind | default "oidc") "kubernetes" }}{{ .review | default false | ternary "review" "yes" }}{{ end }}{{ end -}}
{{- end -}}

{{/* "yes" where the API server is asked, and a token for it needed. */}}
{{- define "vestibule.asksApiServer" -}}
{{- if or (include "vestibule.watches" .) (include "vestibule.workloads" .) -}}yes{{- end -}}
{{- end -}}

{{/* "yes" where the check gives out a credential that the upstream knows. */}}
{{- define "vestibule.givesCredentials" -}}
{{- $gives := (.Values.config.upstream_credential | default dict).static -}}
{{- range .Values.extraEnv }}{{ if hasPrefix "VESTIBULE__UPSTREAM_CREDENTIAL__STATIC__" (.name | default "" | upper) }}{{ $gives = true }}{{ end }}{{ end -}}
{{- if $gives -}}yes{{- end -}}
{{- end -}}

{{/* "yes" where a NetworkPolicy of the chart's admits the gateway alone. */}}
{{- define "vestibule.guarded" -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.gateway -}}yes{{- end -}}
{{- end -}}

{{/* "yes" where the pods are this chart's. */}}
{{- define "vestibule.hasPods" -}}
{{- if ne .Values.mode "embedded" -}}yes{{- end -}}
{{- end -}}
