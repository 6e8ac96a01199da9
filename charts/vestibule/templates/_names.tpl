{{/* Names and labels. */}}

{{- define "vestibule.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 63 characters with the suffixes that are appended to it. */}}
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

{{/* Labels that select the pods. In embedded mode, the pods of the other chart must have them. */}}
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

{{/* Common labels, and annotations: the object's own (a map) and the common ones. Parameters: (dict "root" $ "annotations" …). */}}
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

{{/* Parameters: an `image` of the values, and the default tag. */}}
{{- define "vestibule.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The host of an origin, without its port. */}}
{{- define "vestibule.hostOf" -}}
{{- regexReplaceAll "^https?://(\\[[^\\]]*\\]|[^/:]*).*$" . "${1}" | lower -}}
{{- end -}}

{{- define "vestibule.publicHost" -}}
{{- include "vestibule.hostOf" .Values.config.public_url -}}
{{- end -}}

{{/* The hosts of `config.origins`, as JSON. */}}
{{- define "vestibule.furtherHosts" -}}
{{- $hosts := list }}{{ range .Values.config.origins }}{{ $hosts = append $hosts (include "vestibule.hostOf" .) }}{{ end -}}
{{- toJson $hosts -}}
{{- end -}}

{{- define "vestibule.checkHost" -}}
{{- printf "%s-check.%s.svc.%s" (include "vestibule.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/* The upstream's Service. Empty if the values do not set one. */}}
{{- define "vestibule.upstreamService" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- printf "%s-upstream" (include "vestibule.fullname" .) -}}
{{- else -}}
{{- .Values.upstream.serviceName -}}
{{- end -}}
{{- end -}}

{{/* Maximum number of pods. */}}
{{- define "vestibule.maxReplicas" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.maxReplicas }}{{- else -}}{{ .Values.replicaCount }}{{- end -}}
{{- end -}}

{{/* "yes" without a Redis. */}}
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

{{/* Empty if no key ring is needed, because the memory store ends with the process. */}}
{{- define "vestibule.keyRingName" -}}
{{- if .Values.keyRing.existingSecret -}}
{{- .Values.keyRing.existingSecret -}}
{{- else if or .Values.keyRing.value (not (include "vestibule.memoryStore" .)) -}}
{{- printf "%s-key-ring" (include "vestibule.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The data of the chart's own key ring Secret in the cluster, as JSON: names to base64. */}}
{{- define "vestibule.existingKeyRing" -}}
{{- (lookup "v1" "Secret" .Release.Namespace (include "vestibule.keyRingName" .) | default dict).data | default dict | toJson -}}
{{- end -}}

{{/* Empty without a role map. */}}
{{- define "vestibule.roleMapName" -}}
{{- if .Values.roleMap.existingConfigMap -}}
{{- .Values.roleMap.existingConfigMap -}}
{{- else if .Values.roleMap.document -}}
{{- printf "%s-roles" (include "vestibule.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* "yes" if the role map is watched. */}}
{{- define "vestibule.watchesRoleMap" -}}
{{- if and .Values.roleMap.watch (include "vestibule.roleMapName" .) -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if tokens of ServiceAccounts are accepted, "review" if the API server also reviews each token. */}}
{{- define "vestibule.verifiesServiceAccounts" -}}
{{- range .Values.config.token_issuers }}{{ if eq (.kind | default "oidc") "kubernetes" }}{{ .review | default false | ternary "review" "yes" }}{{ end }}{{ end -}}
{{- end -}}

{{/* "yes" if the pods need a token for the API server. */}}
{{- define "vestibule.usesApiServer" -}}
{{- if or (include "vestibule.watchesRoleMap" .) (include "vestibule.verifiesServiceAccounts" .) -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if the check returns a static upstream credential. */}}
{{- define "vestibule.returnsUpstreamCredential" -}}
{{- $gives := (.Values.config.upstream_credential | default dict).static -}}
{{- range .Values.extraEnv }}{{ if hasPrefix "VESTIBULE__UPSTREAM_CREDENTIAL__STATIC__" (.name | default "" | upper) }}{{ $gives = true }}{{ end }}{{ end -}}
{{- if $gives -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if the check requires a gateway secret. */}}
{{- define "vestibule.requiresGatewaySecret" -}}
{{- $requires := (.Values.config.check | default dict).secret_file -}}
{{- range .Values.extraEnv }}{{ if hasPrefix "VESTIBULE__CHECK__SECRET" (.name | default "" | upper) }}{{ $requires = true }}{{ end }}{{ end -}}
{{- if $requires -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if the network is trusted instead of a gateway secret. */}}
{{- define "vestibule.trustsNetwork" -}}
{{- $trusts := (.Values.config.check | default dict).trust_network -}}
{{- range .Values.extraEnv }}{{ if eq "VESTIBULE__CHECK__TRUST_NETWORK" (.name | default "" | upper) }}{{ $trusts = true }}{{ end }}{{ end -}}
{{- if $trusts -}}yes{{- end -}}
{{- end -}}

{{/* The ConfigMap with the gateway secret for ingress-nginx. Empty without one. */}}
{{- define "vestibule.gatewaySecretConfigMap" -}}
{{- if eq .Values.ingress.controller "ingress-nginx" -}}
{{- if .Values.ingress.gatewaySecret.value -}}
{{- printf "%s-gateway-secret" (include "vestibule.fullname" .) -}}
{{- else -}}
{{- .Values.ingress.gatewaySecret.existingConfigMap -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "yes" if the chart's NetworkPolicy admits only the gateway. */}}
{{- define "vestibule.admitsOnlyGateway" -}}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.gateway -}}yes{{- end -}}
{{- end -}}

{{/* "yes" if this chart creates the pods. */}}
{{- define "vestibule.hasPods" -}}
{{- if ne .Values.mode "embedded" -}}yes{{- end -}}
{{- end -}}
