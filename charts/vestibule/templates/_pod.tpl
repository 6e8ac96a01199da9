{{/* The container, its volumes, and the pods of the modes `deployment` and `sidecar`. */}}

{{/*
Vestibule as a native sidecar, an element of another chart's `initContainers`:

    initContainers:
      {{- include "vestibule.sidecar.container" .Subcharts.vestibule | nindent 8 }}
*/}}
{{- define "vestibule.sidecar.container" -}}
{{- include "vestibule.container" (dict "root" . "restartPolicy" "Always") -}}
{{- end -}}

{{/* Volumes of the sidecar, for the pod's `volumes`. */}}
{{- define "vestibule.sidecar.volumes" -}}
{{- include "vestibule.volumes" . -}}
{{- end -}}

{{/* Annotations of the pod that runs the sidecar. They restart the pods when the configuration changes. */}}
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
  # Mounts whole directories, because Kubernetes never updates files that are mounted with subPath.
  volumeMounts:
    - {name: vestibule-config, mountPath: /etc/vestibule/config, readOnly: true}
    {{- if include "vestibule.secretsName" .root }}
    - {name: vestibule-secrets, mountPath: /etc/vestibule/secrets, readOnly: true}
    {{- end }}
    {{- if include "vestibule.keyRingName" .root }}
    - {name: vestibule-key-ring, mountPath: /etc/vestibule/key-ring, readOnly: true}
    {{- end }}
    {{- if include "vestibule.usesApiServer" .root }}
    - {name: vestibule-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
    {{- end }}
    {{- if and (include "vestibule.roleMapName" .root) (not (include "vestibule.watchesRoleMap" .root)) }}
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
{{- if include "vestibule.usesApiServer" . }}
# The ServiceAccount's token is mounted only into Vestibule's container, not into other containers of the pod.
- name: vestibule-token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
{{- end }}
{{- if not (include "vestibule.watchesRoleMap" .) }}
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
  # The gateway still sends requests for some seconds after the pod begins to stop.
  lifecycle:
    preStop: {sleep: {seconds: {{ $upstream.preStopSleepSeconds }}}}
  {{- end }}
  securityContext:
    {{- $restricted := dict "runAsNonRoot" true "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") }}
    {{- toYaml (mergeOverwrite $restricted $upstream.securityContext) | nindent 4 }}
{{- end -}}

{{/* In sidecar mode, Kubernetes stops the upstream first and the sidecar after it. */}}
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
# Variables that Kubernetes generates for Services would have the prefix of Vestibule's own variables.
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
