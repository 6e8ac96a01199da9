{{/* The container, its volumes, and the pods of both shapes. */}}

{{/*
Vestibule as a native sidecar, an element of another chart's `initContainers`:

    initContainers:
      {{- include "vestibule.sidecar.container" .Subcharts.vestibule | nindent 8 }}
*/}}
{{- define "vestibule.sidecar.container" -}}
{{- include "vestibule.container" (dict "root" . "restartPolicy" "Always") -}}
{{- end -}}

{{/* What it mounts, for the pod's `volumes`. */}}
{{- define "vestibule.sidecar.volumes" -}}
{{- include "vestibule.volumes" . -}}
{{- end -}}

{{/* For the annotations of the pod that carries it: rolls the pods when the configuration changes. */}}
{{- define "vestibule.sidecar.annotations" -}}
vestibule/configuration: {{ include "vestibule.checksum" . }}
{{- end -}}

{{- define "vestibule.container" -}}
{{- $values := .root.Values -}}
- name: vestibule
  image: {{ include "vestibule.image" (dict "image" $values.image "tag" .root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  args: [--config, /etc/vestibule/config/vestibule.yaml]
  {{- with $values.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: public, containerPort: {{ $values.ports.public }}, protocol: TCP}
    - {name: check, containerPort: {{ $values.ports.check }}, protocol: TCP}
    - {name: admin, containerPort: {{ $values.ports.admin }}, protocol: TCP}
  startupProbe:
    httpGet: {path: /livez, port: admin}
    {{- toYaml $values.probes.startup | nindent 4 }}
  readinessProbe:
    httpGet: {path: /readyz, port: admin}
    {{- toYaml $values.probes.readiness | nindent 4 }}
  livenessProbe:
    httpGet: {path: /livez, port: admin}
    {{- toYaml $values.probes.liveness | nindent 4 }}
  {{- with $values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $values.securityContext | nindent 4 }}
  # Whole directories: what is mounted with subPath never changes.
  volumeMounts:
    - {name: vestibule-config, mountPath: /etc/vestibule/config, readOnly: true}
    {{- if include "vestibule.secretsName" .root }}
    - {name: vestibule-secrets, mountPath: /etc/vestibule/secrets, readOnly: true}
    {{- end }}
    {{- if include "vestibule.keyRingName" .root }}
    - {name: vestibule-key-ring, mountPath: /etc/vestibule/key-ring, readOnly: true}
    {{- end }}
    {{- if include "vestibule.asksApiServer" .root }}
    - {name: vestibule-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
    {{- end }}
    {{- if and (include "vestibule.roleMapName" .root) (not (include "vestibule.watches" .root)) }}
    - {name: vestibule-role-map, mountPath: /etc/vestibule/role-map, readOnly: true}
    {{- end }}
    {{- with $values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "vestibule.volumes" -}}
- name: vestibule-config
  configMap: {name: {{ include "vestibule.fullname" . }}}
{{- with include "vestibule.secretsName" . }}
- name: vestibule-secrets
  secret: {secretName: {{ . }}}
{{- end }}
{{- with include "vestibule.keyRingName" . }}
- name: vestibule-key-ring
  secret: {secretName: {{ . }}}
{{- end }}
{{- if include "vestibule.asksApiServer" . }}
# The token of the ServiceAccount, for Vestibule's container alone: what stands beside it in the pod gets none.
- name: vestibule-token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
{{- end }}
{{- if not (include "vestibule.watches" .) }}
{{- with include "vestibule.roleMapName" . }}
- name: vestibule-role-map
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vestibule.upstreamContainer" -}}
{{- $upstream := .Values.upstream -}}
- name: upstream
  image: {{ include "vestibule.image" (dict "image" $upstream.image "tag" "latest") | quote }}
  imagePullPolicy: {{ $upstream.image.pullPolicy }}
  {{- range $name := list "command" "args" "env" "envFrom" "resources" "startupProbe" "readinessProbe" "livenessProbe" "volumeMounts" }}
  {{- with get $upstream $name }}
  {{ $name }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  ports:
    - {name: upstream, containerPort: {{ $upstream.port }}, protocol: TCP}
  {{- if $upstream.preStopSleepSeconds }}
  # The gateway still sends requests for a while after the pod was told to stop.
  lifecycle:
    preStop: {sleep: {seconds: {{ $upstream.preStopSleepSeconds }}}}
  {{- end }}
  securityContext:
    {{- $restricted := dict "runAsNonRoot" true "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") }}
    {{- toYaml (mergeOverwrite $restricted $upstream.securityContext) | nindent 4 }}
{{- end -}}

{{/* With a sidecar the upstream ends first, and Kubernetes tells the sidecar only then. */}}
{{- define "vestibule.gracePeriod" -}}
{{- $sidecar := add .Values.upstream.preStopSleepSeconds .Values.upstream.terminationSeconds -}}
{{- $made := add .Values.shutdown.deadlineSeconds 5 (eq .Values.mode "sidecar" | ternary $sidecar 0) -}}
{{- .Values.terminationGracePeriodSeconds | default $made -}}
{{- end -}}

{{- define "vestibule.strategy" -}}
{{- if .Values.strategy -}}
{{- toYaml .Values.strategy -}}
{{- else if include "vestibule.memoryStore" . -}}
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- end -}}
{{- end -}}

{{- define "vestibule.topologySpread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "vestibule.selectorLabels" . | fromYaml)) -}}
{{- range .Values.topologySpreadConstraints }}
- {{ toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- define "vestibule.podSpec" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
serviceAccountName: {{ include "vestibule.serviceAccountName" . }}
automountServiceAccountToken: false
# The variables that Kubernetes makes of Services begin like ours.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ include "vestibule.gracePeriod" . }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- range $name := list "dnsConfig" "hostAliases" "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- include "vestibule.topologySpread" . | trim | nindent 2 }}
{{- end }}
{{- if or $sidecar .Values.extraInitContainers }}
initContainers:
  {{- with .Values.extraInitContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if $sidecar }}
  {{- include "vestibule.sidecar.container" . | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  {{- $sidecar | ternary (include "vestibule.upstreamContainer" .) (include "vestibule.container" (dict "root" .)) | nindent 2 }}
  {{- with .Values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "vestibule.volumes" . | nindent 2 }}
{{- end -}}
