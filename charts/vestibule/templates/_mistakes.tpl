{{/*
Validates combinations of fields, which the schema cannot describe. Reports all mistakes at once, before anything is installed.
Values that the binary would reject at its start are rejected here first.
*/}}

{{- define "vestibule.mistakes" -}}
{{- $mistakes := concat
  (include "vestibule.mistakes.shape" . | fromJsonArray)
  (include "vestibule.mistakes.names" . | fromJsonArray)
  (include "vestibule.mistakes.store" . | fromJsonArray)
  (include "vestibule.mistakes.urls" . | fromJsonArray)
  (include "vestibule.mistakes.providers" . | fromJsonArray)
  (include "vestibule.mistakes.tokenIssuers" . | fromJsonArray)
  (include "vestibule.mistakes.upstreamCredential" . | fromJsonArray)
  (include "vestibule.mistakes.times" . | fromJsonArray)
  (include "vestibule.mistakes.files" . | fromJsonArray)
  (include "vestibule.mistakes.deleted" . | fromJsonArray)
  (include "vestibule.mistakes.roleMap" . | fromJsonArray)
  (include "vestibule.mistakes.gateway" . | fromJsonArray)
  (include "vestibule.mistakes.gatewayType" . | fromJsonArray)
  (include "vestibule.mistakes.network" . | fromJsonArray) -}}
{{- if $mistakes -}}
{{- fail (printf "\n\nThe values are invalid:\n  %s\n" (join "\n  " $mistakes)) -}}
{{- end -}}
{{- end -}}

{{- define "vestibule.mistakes.shape" -}}
{{- $mistakes := list -}}
{{- $url := .Values.config.public_url -}}
{{- if not $url }}{{ $mistakes = append $mistakes "config.public_url: is required; set the origin that browsers use, such as https://llm.example.com" }}
{{- else if not (regexMatch "^https?://[^/?#@\\s]+/?$" $url) }}{{ $mistakes = append $mistakes "config.public_url: must be an origin such as https://llm.example.com, without user name, path, query or fragment" }}
{{- else if and (hasPrefix "https://" $url) (not (include "vestibule.isEndpoint" $url)) }}{{ $mistakes = append $mistakes "config.public_url: must be an origin such as https://llm.example.com; its host or port is invalid" }}
{{- else if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes "config.public_url: must be https://; http:// is accepted for loopback hosts only, because it would send cookies unencrypted" }}
{{- else if hasSuffix "." (include "vestibule.publicHost" .) }}{{ $mistakes = append $mistakes "config.public_url: the host must not end with a dot, because browsers treat it as a different origin" }}{{ end -}}
{{- $hosts := list (include "vestibule.publicHost" .) -}}
{{- range $index, $origin := .Values.config.origins -}}
{{- $host := include "vestibule.hostOf" $origin -}}
{{- if not (and (regexMatch "^https?://[^/?#@\\s]+/?$" $origin) (include "vestibule.isEndpoint" $origin) (not (hasSuffix "." $host))) }}{{ $mistakes = append $mistakes (printf "config.origins[%d]: must be an https origin such as https://chat.example.com, without user name, path, query or fragment; http:// is accepted for loopback hosts only" $index) }}
{{- else if has $host $hosts }}{{ $mistakes = append $mistakes (printf "config.origins[%d]: %s is also the host of config.public_url or of another origin; cookies ignore ports, so each host can be used once" $index $host) }}
{{- else if ne (hasPrefix "https:" $origin) (hasPrefix "https:" $url) }}{{ $mistakes = append $mistakes (printf "config.origins[%d]: must have the scheme of config.public_url, because their cookies have the same names" $index) }}{{ end -}}
{{- $hosts = append $hosts $host -}}
{{- end -}}
{{- $branded := list -}}
{{- range $index, $one := (.Values.config.ui | default dict).origins | default list -}}
{{- $host := include "vestibule.hostOf" $one.origin -}}
{{- if not (has $host (include "vestibule.furtherHosts" $ | fromJsonArray)) }}{{ $mistakes = append $mistakes (printf "config.ui.origins[%d].origin: %s is not one of config.origins" $index $one.origin) }}
{{- else if has $host $branded }}{{ $mistakes = append $mistakes (printf "config.ui.origins[%d].origin: %s has another entry; keep one of them" $index $one.origin) }}{{ end -}}
{{- $branded = append $branded $host -}}
{{- end -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" -}}
{{- $network := printf "^(%s(\\.%s){3}(/(3[0-2]|[12]?[0-9]))?|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$" $octet $octet -}}
{{- range .Values.config.trusted_proxies | default list }}{{ if not (regexMatch $network .) }}{{ $mistakes = append $mistakes (printf "config.trusted_proxies: %s must be an IP address or a network such as 10.0.0.0/8" .) }}{{ else if hasSuffix "/0" . }}{{ $mistakes = append $mistakes "config.trusted_proxies: /0 would trust the X-Forwarded-For of every client; set the gateway's network" }}{{ end }}{{ end -}}
{{- if not .Values.image.repository }}{{ $mistakes = append $mistakes "image.repository: is required, because no image is published yet; build one with the repository's Dockerfile" }}{{ end -}}
{{- if eq .Values.mode "sidecar" -}}
{{- if not .Values.upstream.image.repository }}{{ $mistakes = append $mistakes "upstream.image.repository: is required with mode: sidecar; set the upstream's image" }}{{ end -}}
{{- if .Values.upstream.serviceName }}{{ $mistakes = append $mistakes "upstream.serviceName: has no effect with mode: sidecar, which creates the upstream's Service; remove it" }}{{ end -}}
{{- if has (int .Values.upstream.port) (list (int .Values.ports.public) (int .Values.ports.check) (int .Values.ports.admin)) }}{{ $mistakes = append $mistakes "upstream.port: must differ from ports.public, ports.check and ports.admin, because the containers of a pod share their ports" }}{{ end -}}
{{- else if .Values.upstream.image.repository }}{{ $mistakes = append $mistakes "upstream.image.repository: has an effect with mode: sidecar only; remove it or set the mode" }}{{ end -}}
{{- if and .Values.autoscaling.enabled (eq .Values.mode "embedded") }}{{ $mistakes = append $mistakes "autoscaling.enabled: must be false with mode: embedded, because another chart scales the pods" }}{{ end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}{{ $mistakes = append $mistakes "autoscaling.minReplicas: must not be greater than autoscaling.maxReplicas" }}{{ end -}}
{{- if ne 3 (len (uniq (list (int .Values.ports.public) (int .Values.ports.check) (int .Values.ports.admin)))) }}{{ $mistakes = append $mistakes "ports: public, check and admin must be different ports" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* Labels, annotations and files that the chart sets itself, and names that the API server would reject during an install. */}}
{{- define "vestibule.mistakes.names" -}}
{{- $mistakes := list -}}
{{- $name := include "vestibule.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}{{ $mistakes = append $mistakes (printf "fullnameOverride: the objects would be named %s; a Service's name must begin with a letter and contain only lower-case letters, digits and hyphens" $name) }}{{ end -}}
{{- range $field := list "commonLabels" "podLabels" -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" "vestibule/listener" -}}
{{- if hasKey (get $.Values $field) $label }}{{ $mistakes = append $mistakes (printf "%s.%s: is set by the chart; remove it" $field $label) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.podAnnotations "vestibule/configuration" }}{{ $mistakes = append $mistakes "podAnnotations.vestibule/configuration: is set by the chart; remove it" }}{{ end -}}
{{- if hasKey .Values.extraFiles "vestibule.yaml" }}{{ $mistakes = append $mistakes "extraFiles.vestibule.yaml: is generated from config; set the fields there" }}{{ end -}}
{{- if and .Values.rbac.create (not .Values.serviceAccount.create) (has .Values.serviceAccount.name (list "" "default")) (include "vestibule.usesApiServer" .) }}{{ $mistakes = append $mistakes "serviceAccount.name: is required with serviceAccount.create: false; without it, the chart would grant its permissions to the default ServiceAccount, which every pod of the namespace can use" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.store" -}}
{{- $mistakes := list -}}
{{- $store := .Values.config.store | default dict -}}
{{- $url := $store.url | default "memory" -}}
{{- if eq $url "memory" -}}
{{- if gt (include "vestibule.maxReplicas" . | int) 1 }}{{ $mistakes = append $mistakes (printf "%s: more than one pod requires a shared store; set config.store.url to a Redis, or run one pod" (.Values.autoscaling.enabled | ternary "autoscaling.maxReplicas" "replicaCount")) }}{{ end -}}
{{- range $name, $_ := omit $store "url" }}{{ $mistakes = append $mistakes (printf "config.store.%s: has no effect with the memory store; set config.store.url or remove the field" $name) }}{{ end -}}
{{- else -}}
{{- if not (contains "-sentinel://" $url) }}{{ range $name, $_ := pick $store "sentinel_username" "sentinel_password_file" }}{{ $mistakes = append $mistakes (printf "config.store.%s: requires a redis-sentinel:// or rediss-sentinel:// URL in config.store.url" $name) }}{{ end }}{{ end -}}
{{- if not (hasPrefix "rediss" $url) }}{{ range $name, $_ := pick $store "ca_file" "cert_file" "key_file" "tls_server_name" }}{{ $mistakes = append $mistakes (printf "config.store.%s: requires TLS; use a rediss URL in config.store.url" $name) }}{{ end }}{{ end -}}
{{- if ne (hasKey $store "cert_file") (hasKey $store "key_file") }}{{ $mistakes = append $mistakes "config.store: cert_file and key_file belong together; set both or remove both" }}{{ end -}}
{{- end -}}
{{- if and .Values.keyRing.existingSecret .Values.keyRing.value }}{{ $mistakes = append $mistakes "keyRing.value: cannot be combined with keyRing.existingSecret; remove one of them" }}{{ end -}}
{{- if and .Values.secrets.existingSecret .Values.secrets.values }}{{ $mistakes = append $mistakes "secrets.values: cannot be combined with secrets.existingSecret; remove one of them" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* "yes" for a header that must not have an upstream credential, as in src/access/credential_header.rs. */}}
{{- define "vestibule.isReservedHeader" -}}
{{- $names := list "accept" "age" "cache-control" "connection" "cookie" "date" "expect" "expires" "forwarded" "host" "keep-alive" "location" "origin" "retry-after" "server" "set-cookie" "te" "trailer" "transfer-encoding" "upgrade" "vary" "via" "www-authenticate" "x-real-ip" "x-request-id" "x-rewrite-url" -}}
{{- if or (has (lower .) $names) (regexMatch "^(access-control|content|proxy|sec|x-accel|x-auth-request|x-forwarded|x-original|x-vestibule)-" (lower .)) }}yes{{ end -}}
{{- end -}}

{{/* An optional port: a colon and a number from 1 to 65535. */}}
{{- define "vestibule.portPattern" -}}
(:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?
{{- end -}}

{{/* "yes" for an https URL, or an http URL of a loopback host, without credentials and fragment. */}}
{{- define "vestibule.isEndpoint" -}}
{{- if regexMatch (printf "^(https://(\\[[0-9a-fA-F:.]+\\]|[^][/?#@:*\\s]+)|http://(localhost|127\\.[0-9.]+|\\[::1\\]))%s([/?][^#\\s]*)?$" (include "vestibule.portPattern" .)) . }}yes{{ end -}}
{{- end -}}

{{/* URLs and the key ring may contain a secret by mistake. The schema's errors would print it, so they are validated here. */}}
{{- define "vestibule.mistakes.urls" -}}
{{- $mistakes := list -}}
{{- $host := printf "(\\[[0-9a-fA-F:.]+\\]|[^][@?#,/:\\s]+)%s" (include "vestibule.portPattern" .) -}}
{{- $forms := list "memory" (printf "rediss?://%s(/([0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5])?)?" $host) (printf "rediss?-sentinel://%s(,%s)*/[A-Za-z0-9._-]+" $host $host) (printf "rediss?-cluster://%s(,%s)*/?" $host $host) -}}
{{- with (.Values.config.store | default dict).url -}}
{{- if contains "@" . }}{{ $mistakes = append $mistakes "config.store.url: must not contain a user name or password; use username and password_file" }}
{{- else if not (regexMatch (printf "^(%s)$" (join "|" $forms)) .) }}{{ $mistakes = append $mistakes "config.store.url: must be memory, redis://host:port/database, redis-sentinel://host:port,host:port/master or redis-cluster://host:port,host:port; for TLS, rediss instead of redis" }}{{ end -}}
{{- end -}}
{{- range $index, $provider := .Values.config.providers | default list -}}
{{- range $name, $url := pick $provider "issuer" "authorization_endpoint" "token_endpoint" "userinfo_endpoint" "jwks_uri" "end_session_endpoint" -}}
{{- if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes (printf "config.providers[%d].%s: must be an https:// URL without user name, password and fragment; http is accepted for loopback hosts only" $index $name) }}
{{- else if and (eq $name "issuer") (contains "?" $url) }}{{ $mistakes = append $mistakes (printf "config.providers[%d].issuer: must not have a query" $index) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.keyRing.value (not (regexMatch "^(\\s*(#[^\\n]*|[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])?\\s*(\\n|$))*$" .Values.keyRing.value)) }}{{ $mistakes = append $mistakes "keyRing.value: must contain one key per line, 32 bytes in base64url without padding, as `vestibule key-ring new` prints it" }}{{ end -}}
{{- with .Values.keyRing.value -}}
{{- $keys := regexFindAll "(?m)^\\s*[A-Za-z0-9_-]{43}\\s*$" . -1 -}}
{{- $trimmed := list }}{{ range $keys }}{{ $trimmed = append $trimmed (trim .) }}{{ end -}}
{{- if or (not $trimmed) (ne (len $trimmed) (len (uniq $trimmed))) }}{{ $mistakes = append $mistakes "keyRing.value: must contain at least one key, and no key twice" }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.providers" -}}
{{- $mistakes := list -}}
{{- $ids := list -}}
{{- range $index, $provider := .Values.config.providers | default list -}}
{{- $at := printf "config.providers[%d]" $index -}}
{{- if has $provider.id $ids }}{{ $mistakes = append $mistakes (printf "%s.id: %s is also the id of another provider; ids must be unique" $at $provider.id) }}{{ end -}}
{{- if and (hasKey $provider "http_proxy_credentials_file") (not (hasKey $provider "http_proxy")) }}{{ $mistakes = append $mistakes (printf "%s.http_proxy_credentials_file: needs http_proxy beside it" $at) }}{{ end -}}
{{- $ids = append $ids $provider.id -}}
{{- if eq ($provider.kind | default "oidc") "oauth2" -}}
{{- range $name := list "authorization_endpoint" "token_endpoint" "userinfo_endpoint" }}{{ if not (hasKey $provider $name) }}{{ $mistakes = append $mistakes (printf "%s.%s: is required with kind: oauth2, which has no discovery" $at $name) }}{{ end }}{{ end -}}
{{- range $name := list "issuer" "jwks_uri" "algorithms" "end_session_endpoint" "end_session_parameters" "logout" "frontchannel_logout" "keys_max_age" }}{{ if hasKey $provider $name }}{{ $mistakes = append $mistakes (printf "%s.%s: has no effect with kind: oauth2; remove it" $at $name) }}{{ end }}{{ end -}}
{{- else -}}
{{- if not $provider.issuer }}{{ $mistakes = append $mistakes (printf "%s.issuer: is required" $at) }}{{ end -}}
{{- $given := list }}{{ range $name := list "authorization_endpoint" "token_endpoint" "jwks_uri" }}{{ if hasKey $provider $name }}{{ $given = append $given $name }}{{ end }}{{ end -}}
{{- if and $given (lt (len $given) 3) }}{{ $mistakes = append $mistakes (printf "%s: authorization_endpoint, token_endpoint and jwks_uri must be set together" $at) }}{{ end -}}
{{- range $name := list "subject_field" "email_field" "preferred_username_field" }}{{ if hasKey $provider $name }}{{ $mistakes = append $mistakes (printf "%s.%s: requires kind: oauth2" $at $name) }}{{ end }}{{ end -}}
{{- if and (hasKey $provider "scopes") (not (has "openid" $provider.scopes)) }}{{ $mistakes = append $mistakes (printf "%s.scopes: must contain openid; without it, the provider issues no id_token" $at) }}{{ end -}}
{{- end -}}
{{- with $provider.keys_max_age }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 7200000) (gt $limit 2592000000) }}{{ $mistakes = append $mistakes (printf "%s.keys_max_age: must be from 2h to 30d" $at) }}{{ end }}{{ end -}}
{{- with $provider.max_claims_age }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 60000) (gt $limit 315360000000) }}{{ $mistakes = append $mistakes (printf "%s.max_claims_age: must be from 1m to 3650d" $at) }}{{ end }}{{ end -}}
{{- with $provider.directory }}{{ $mistakes = concat $mistakes (include "vestibule.mistakes.directory" (dict "at" $at "provider" $provider) | fromJsonArray) }}{{ end -}}
{{- with $provider.refresh }}
{{- $interval := include "vestibule.milliseconds" (.interval | default "15m") | int64 }}{{ $limit := include "vestibule.milliseconds" (.max_age | default "24h") | int64 -}}
{{- if or (lt $interval 10000) (gt $interval 31536000000) }}{{ $mistakes = append $mistakes (printf "%s.refresh.interval: must be from 10s to 365d" $at) }}{{ end -}}
{{- if or (lt $limit 10000) (gt $limit 31536000000) }}{{ $mistakes = append $mistakes (printf "%s.refresh.max_age: must be from 10s to 365d" $at) }}{{ else if le $limit $interval }}{{ $mistakes = append $mistakes (printf "%s.refresh.max_age: must be longer than refresh.interval" $at) }}{{ end -}}
{{- end -}}
{{- if eq $provider.id "local" }}{{ $mistakes = append $mistakes (printf "%s.id: must not be local, which is the id of the local accounts" $at) }}{{ end -}}
{{- if and $provider.end_session_parameters (eq ($provider.logout | default "hint") "off") }}{{ $mistakes = append $mistakes (printf "%s.end_session_parameters: has no effect with logout: off; remove one of them" $at) }}{{ end -}}
{{- $reserved := dict "client_secret" "must not be set: users see the URL; remove it" "id_token_hint" "is set by logout: id_token_hint; remove it" -}}
{{- range $name, $_ := pick ($provider.end_session_parameters | default dict) "client_secret" "id_token_hint" }}{{ $mistakes = append $mistakes (printf "%s.end_session_parameters.%s: %s" $at $name (get $reserved $name)) }}{{ end -}}
{{- range $name, $_ := pick ($provider.authorization_params | default dict) "state" "nonce" "code_challenge" "code_challenge_method" "redirect_uri" "response_type" "response_mode" "client_id" "client_secret" "scope" "request" "request_uri" "id_token_hint" }}{{ $mistakes = append $mistakes (printf "%s.authorization_params.%s: is set by Vestibule; remove it" $at $name) }}{{ end -}}
{{- if and (hasPrefix "client_secret_" ($provider.token_endpoint_auth_method | default "auto")) (not (hasKey $provider "client_secret_file")) }}{{ $mistakes = append $mistakes (printf "%s.token_endpoint_auth_method: requires client_secret_file" $at) }}{{ end -}}
{{- $public := eq ($provider.token_endpoint_auth_method | default "auto") "none" -}}
{{- if and $public (hasKey $provider "client_secret_file") }}{{ $mistakes = append $mistakes (printf "%s.client_secret_file: has no effect with token_endpoint_auth_method: none; remove one of them" $at) }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- /* The mistakes of a provider's directory. Arguments: at (the provider's path), provider. */ -}}
{{- define "vestibule.mistakes.directory" -}}
{{- $mistakes := list -}}
{{- $directory := .provider.directory -}}
{{- $at := printf "%s.directory" .at -}}
{{- range $name, $url := pick $directory "api_url" "token_endpoint" -}}
{{- if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes (printf "%s.%s: must be an https:// URL without user name, password and fragment; http is accepted for loopback hosts only" $at $name) }}{{ end -}}
{{- end -}}
{{- range $kind, $names := dict "entra_id" (list "when" "credential" "token_endpoint") "google" (list "service_account_file" "subject") -}}
{{- range $name := $names }}{{ if and (hasKey $directory $name) (ne $directory.kind $kind) }}{{ $mistakes = append $mistakes (printf "%s.%s: requires kind: %s" $at $name $kind) }}{{ end }}{{ end -}}
{{- end -}}
{{- $client := eq ($directory.credential | default "user") "client" -}}
{{- if and (eq $directory.kind "google") (not $directory.service_account_file) }}{{ $mistakes = append $mistakes (printf "%s.service_account_file: is required with kind: google" $at) }}{{ end -}}
{{- if and $client (not $directory.token_endpoint) }}{{ $mistakes = append $mistakes (printf "%s.token_endpoint: is required with credential: client" $at) }}{{ end -}}
{{- if and $directory.token_endpoint (not $client) }}{{ $mistakes = append $mistakes (printf "%s.token_endpoint: requires credential: client" $at) }}{{ end -}}
{{- if and $client (not .provider.client_secret_file) }}{{ $mistakes = append $mistakes (printf "%s.credential: client requires client_secret_file" $at) }}{{ end -}}
{{- if and (eq $directory.kind "gitlab") (not (or (has "read_api" (.provider.scopes | default list)) (has "api" (.provider.scopes | default list)))) }}{{ $mistakes = append $mistakes (printf "%s.kind: gitlab requires the scope read_api" $at) }}{{ end -}}
{{- if and (has $directory.kind (list "entra_id" "google")) (eq (.provider.kind | default "oidc") "oauth2") }}{{ $mistakes = append $mistakes (printf "%s.kind: %s requires a provider of kind: oidc" $at $directory.kind) }}{{ end -}}
{{- range $name, $value := pick $directory "interval" "max_age" }}{{ $limit := include "vestibule.milliseconds" $value | int64 }}{{ if or (lt $limit 10000) (gt $limit 2592000000) }}{{ $mistakes = append $mistakes (printf "%s.%s: must be from 10s to 30d" $at $name) }}{{ end }}{{ end -}}
{{- if gt (include "vestibule.milliseconds" ($directory.interval | default "15m") | int64) (include "vestibule.milliseconds" ($directory.max_age | default "24h") | int64) }}{{ $mistakes = append $mistakes (printf "%s.max_age: must not be shorter than interval" $at) }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.tokenIssuers" -}}
{{- $mistakes := list -}}
{{- $providers := .Values.config.providers | default list -}}
{{- $ids := list }}{{ $clients := list }}{{ range $providers }}{{ $ids = append $ids .id }}{{ $clients = append $clients .client_id }}{{ end -}}
{{- $seen := list }}{{ $names := list }}{{ $clusters := 0 -}}
{{- range $index, $issuer := .Values.config.token_issuers | default list -}}
{{- $at := printf "config.token_issuers[%d]" $index -}}
{{- if and (hasKey $issuer "http_proxy_credentials_file") (not (hasKey $issuer "http_proxy")) }}{{ $mistakes = append $mistakes (printf "%s.http_proxy_credentials_file: needs http_proxy beside it" $at) }}{{ end -}}
{{- if has $issuer.id $seen }}{{ $mistakes = append $mistakes (printf "%s.id: %s is also the id of another token issuer; ids must be unique" $at $issuer.id) }}{{ end -}}
{{- if has $issuer.id $ids }}{{ $mistakes = append $mistakes (printf "%s.id: %s is also the id of a provider; ids must be unique, because rules refer to them" $at $issuer.id) }}{{ end -}}
{{- with $issuer.keys_max_age }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 7200000) (gt $limit 2592000000) }}{{ $mistakes = append $mistakes (printf "%s.keys_max_age: must be from 2h to 30d" $at) }}{{ end }}{{ end -}}
{{- if eq $issuer.id "local" }}{{ $mistakes = append $mistakes (printf "%s.id: must not be local, which is the id of the local accounts" $at) }}{{ end -}}
{{- $seen = append $seen $issuer.id -}}
{{- range $issuer.audiences }}{{ if and (has . $clients) (not $issuer.access_token_claim) }}{{ $mistakes = append $mistakes (printf "%s.audiences: %s is also the client_id of a provider, whose id_tokens would be accepted; use a different audience, or set access_token_claim" $at .) }}{{ end }}{{ end -}}
{{- if eq ($issuer.kind | default "oidc") "kubernetes" -}}
{{- $clusters = add1 $clusters -}}
{{- if gt (int $clusters) 1 }}{{ $mistakes = append $mistakes (printf "%s.kind: only one token issuer may have kind: kubernetes, because there is one API server" $at) }}{{ end -}}
{{- range $name := list "issuer" "provider" "jwks_uri" "ca_file" "http_proxy" "http_proxy_credentials_file" "no_proxy" "user_claim" "unregistered" "workload" "audience_claim" "access_token_claim" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: requires kind: oidc" $at $name) }}{{ end }}{{ end -}}
{{- range $issuer.additional_issuers }}{{ if has . ($issuer.audiences | default list) }}{{ $mistakes = append $mistakes (printf "%s.additional_issuers: %s is also one of the audiences; remove it there" $at .) }}{{ end }}{{ if has . $names }}{{ $mistakes = append $mistakes (printf "%s.additional_issuers: %s is also the issuer of another token issuer; remove one of them" $at .) }}{{ end }}{{ $names = append $names . }}{{ end -}}
{{- with $issuer.review_cache }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 1000) (gt $limit 3600000) }}{{ $mistakes = append $mistakes (printf "%s.review_cache: must be from 1s to 1h" $at) }}{{ end }}{{ end -}}
{{- if and (hasKey $issuer "review_cache") (not $issuer.review) }}{{ $mistakes = append $mistakes (printf "%s.review_cache: has no effect without review: true" $at) }}{{ end -}}
{{- else -}}
{{- if not $issuer.audiences }}{{ $mistakes = append $mistakes (printf "%s.audiences: is required; set the audience that the tokens must have" $at) }}{{ end -}}
{{- if and $issuer.audience_claim (not $issuer.required_claims) }}{{ $mistakes = append $mistakes (printf "%s.audience_claim: requires required_claims" $at) }}{{ end -}}
{{- range $name := list "review" "review_cache" "additional_issuers" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: requires kind: kubernetes" $at $name) }}{{ end }}{{ end -}}
{{- if not $issuer.provider }}{{ range $name := list "user_claim" "unregistered" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: requires provider" $at $name) }}{{ end }}{{ end }}{{ end -}}
{{- if $issuer.provider -}}
{{- if and (hasKey $issuer "workload") (ne ($issuer.unregistered | default "refuse") "allow") }}{{ $mistakes = append $mistakes (printf "%s.workload: requires unregistered: allow" $at) }}{{ end -}}
{{- range $name := list "issuer" "jwks_uri" "ca_file" "http_proxy" "http_proxy_credentials_file" "no_proxy" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: cannot be combined with provider; remove one of them" $at $name) }}{{ end }}{{ end -}}
{{- if not (has $issuer.provider $ids) }}{{ $mistakes = append $mistakes (printf "%s.provider: %s is not the id of a configured provider" $at $issuer.provider) }}{{ end -}}
{{- $name := printf "provider %s" $issuer.provider -}}
{{- range $providers }}{{ if eq .id $issuer.provider }}{{ if eq (.kind | default "oidc") "oauth2" }}{{ $mistakes = append $mistakes (printf "%s.provider: must not be a provider of kind: oauth2, whose tokens cannot be verified" $at) }}{{ else }}{{ $name = .issuer }}{{ end }}{{ end }}{{ end -}}
{{- if has $name $names }}{{ $mistakes = append $mistakes (printf "%s.provider: has the same issuer as another token issuer; remove one of them" $at) }}{{ end -}}
{{- $names = append $names $name -}}
{{- else if not $issuer.issuer }}{{ $mistakes = append $mistakes (printf "%s.issuer: is required, unless provider names a configured provider" $at) }}
{{- else -}}
{{- if has $issuer.issuer $names }}{{ $mistakes = append $mistakes (printf "%s.issuer: is also the issuer of another token issuer; remove one of them" $at) }}{{ end -}}
{{- $names = append $names $issuer.issuer -}}
{{- end -}}
{{- end -}}
{{- range $name, $url := pick $issuer "issuer" "jwks_uri" -}}
{{- if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes (printf "%s.%s: must be an https:// URL without user name, password and fragment; http is accepted for loopback hosts only" $at $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* A name may contain a credential by mistake. The schema's errors would print it, so names are validated here. */}}
{{- define "vestibule.mistakes.upstreamCredential" -}}
{{- $mistakes := list -}}
{{- $section := .Values.config.upstream_credential | default dict -}}
{{- $assertion := $section.assertion | default dict -}}
{{- if and (.Values.config.check | default dict).secret_file (.Values.config.check | default dict).trust_network }}{{ $mistakes = append $mistakes "config.check.trust_network: has no effect with config.check.secret_file; remove one of them" }}{{ end -}}
{{- $own := list "none" "pass" "assertion" -}}
{{- $names := list }}{{ $forEverybody := list -}}
{{- range $index, $one := $section.static | default list -}}
{{- $at := printf "config.upstream_credential.static[%d]" $index -}}
{{- $name := hasKey $one "name" | ternary $one.name "static" -}}
{{- if not (regexMatch "^[a-z0-9-]{1,32}$" $name) }}{{ $mistakes = append $mistakes (printf "%s.name: must be 1 to 32 characters long and contain only the letters a-z, digits and -" $at) }}
{{- else if has $name $own }}{{ $mistakes = append $mistakes (printf "%s.name: must not be none, pass or assertion, which are reserved" $at) }}
{{- else if has $name $forEverybody }}{{ $mistakes = append $mistakes (printf "%s.name: an earlier entry for %s has neither roles nor teams, so this entry is never used; move it before that entry" $at $name) }}{{ end -}}
{{- if and $one.authorization_file (or $one.header $one.value_file) }}{{ $mistakes = append $mistakes (printf "%s.authorization_file: cannot be combined with header and value_file; keep the file or the header with its value" $at) }}
{{- else if and $one.value_file (not $one.header) }}{{ $mistakes = append $mistakes (printf "%s.header: is required with value_file; set the header in which the upstream reads the credential" $at) }}
{{- else if and $one.header (not $one.value_file) }}{{ $mistakes = append $mistakes (printf "%s.value_file: is required with header; set the file with the header's value" $at) }}
{{- else if not (or $one.authorization_file $one.header) }}{{ $mistakes = append $mistakes (printf "%s.authorization_file: is required; set the file with the Authorization header for the upstream" $at) }}{{ end -}}
{{- if and $one.header (include "vestibule.isReservedHeader" $one.header) }}{{ $mistakes = append $mistakes (printf "%s.header: has another meaning for gateways, upstreams or Vestibule; set the header in which the upstream reads its credential" $at) }}{{ end -}}
{{- range $list := list "roles" "teams" }}{{ if and (hasKey $one $list) (not (get $one $list)) }}{{ $mistakes = append $mistakes (printf "%s.%s: must not be empty; remove it to use the entry for all users" $at $list) }}{{ end }}{{ end -}}
{{- if not (or (hasKey $one "roles") (hasKey $one "teams")) }}{{ $forEverybody = append $forEverybody $name }}{{ end -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- if $assertion.keys_file -}}
{{- if not $assertion.audience }}{{ $mistakes = append $mistakes "config.upstream_credential.assertion.audience: is required; set the audience of the identity assertions" }}{{ end -}}
{{- else -}}
{{- range $name, $_ := $assertion }}{{ $mistakes = append $mistakes (printf "config.upstream_credential.assertion.%s: has no effect without keys_file, which signs the assertions" $name) }}{{ end -}}
{{- end -}}
{{- if and (or (include "vestibule.returnsUpstreamCredential" .) $assertion.keys_file) (not (include "vestibule.requiresGatewaySecret" .)) (not (include "vestibule.trustsNetwork" .)) }}{{ $mistakes = append $mistakes "config.check.secret_file: is required with config.upstream_credential.static and assertion, because everybody who reaches the check would receive the credential; set it, or config.check.trust_network: true if the network admits only the gateway" }}{{ end -}}
{{- if hasKey $section "default" -}}
{{- if not (regexMatch "^[a-z0-9-]{1,32}$" $section.default) }}{{ $mistakes = append $mistakes "config.upstream_credential.default: must be none, pass, assertion, or a name of config.upstream_credential.static" }}
{{- else if and (eq $section.default "assertion") (not $assertion.keys_file) }}{{ $mistakes = append $mistakes "config.upstream_credential.default: assertion requires config.upstream_credential.assertion.keys_file" }}
{{- else if not (has $section.default (concat $own $names)) }}{{ $mistakes = append $mistakes (printf "config.upstream_credential.default: %s is not a name in config.upstream_credential.static" $section.default) }}{{ end -}}
{{- end -}}
{{- $known := concat (list "none" "pass") $names (empty $assertion.keys_file | ternary list (list "assertion")) -}}
{{- $document := .Values.roleMap.document }}{{ if kindIs "string" $document }}{{ $document = fromYaml $document }}{{ end -}}
{{- $rules := get ($document | default dict) "access" }}{{ if not (kindIs "slice" $rules) }}{{ $rules = list }}{{ end -}}
{{- range $index, $rule := $rules }}{{ if and (kindIs "map" $rule) (hasKey $rule "upstream_credential") }}{{ if not (has $rule.upstream_credential $known) }}{{ $mistakes = append $mistakes (printf "roleMap.document: access[%d].upstream_credential must be none, pass, or a name that config.upstream_credential defines" $index) }}{{ end }}{{ end }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* A duration such as 1h30m in milliseconds. */}}
{{- define "vestibule.milliseconds" -}}
{{- $total := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d)" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $total = add $total (mul (regexFind "[0-9]+" . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000) $unit)) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* A size such as 19MiB, or a number, in bytes. */}}
{{- define "vestibule.bytes" -}}
{{- if kindIs "string" . -}}
{{- mul (regexFind "[0-9]+" . | int64) (get (dict "" 1 "B" 1 "KiB" 1024 "MiB" 1048576 "GiB" 1073741824) (regexFind "[A-Za-z]+" .)) -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{- define "vestibule.mistakes.times" -}}
{{- $mistakes := list -}}
{{- $sessions := .Values.config.sessions | default dict -}}
{{- if gt (include "vestibule.milliseconds" ($sessions.idle | default "12h") | int64) (include "vestibule.milliseconds" ($sessions.absolute | default "7d") | int64) }}{{ $mistakes = append $mistakes "config.sessions.idle: must not be longer than config.sessions.absolute" }}{{ end -}}
{{- range $name, $value := $sessions }}{{ $limit := include "vestibule.milliseconds" $value | int64 }}{{ if or (lt $limit 1000) (gt $limit 31536000000) }}{{ $mistakes = append $mistakes (printf "config.sessions.%s: must be from 1s to 365d" $name) }}{{ end }}{{ end -}}
{{- with (.Values.config.store | default dict).command_timeout }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 10) (gt $limit 10000) }}{{ $mistakes = append $mistakes "config.store.command_timeout: must be from 10ms to 10s" }}{{ end }}{{ end -}}
{{- with (.Values.config.cache | default dict).revocation_grace -}}
{{- $grace := include "vestibule.milliseconds" . | int64 -}}
{{- if or (lt $grace 6000) (gt $grace 3600000) }}{{ $mistakes = append $mistakes "config.cache.revocation_grace: must be from 6s to 1h" }}{{ end -}}
{{- end -}}
{{- $keys := .Values.config.keys | default dict -}}
{{- if gt (include "vestibule.milliseconds" ($keys.default_duration | default "90d") | int64) (include "vestibule.milliseconds" ($keys.max_duration | default "365d") | int64) }}{{ $mistakes = append $mistakes "config.keys.default_duration: must not be longer than config.keys.max_duration" }}{{ end -}}
{{- range list "default_duration" "max_duration" "overlap_max" "claims_max_age" "sign_in_within" -}}
{{- $least := ternary 7200000 1000 (eq . "claims_max_age") -}}
{{- with get $keys . }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit (int64 $least)) (gt $limit 315360000000) }}{{ $mistakes = append $mistakes "config.keys: durations must be from 1s (claims_max_age: from 2h) to 3650d" }}{{ end }}{{ end -}}
{{- end -}}
{{- $accounts := .Values.config.local_accounts | default dict -}}
{{- with $accounts.invitation_duration }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 60000) (gt $limit 2592000000) }}{{ $mistakes = append $mistakes "config.local_accounts.invitation_duration: must be from 1m to 30d" }}{{ end }}{{ end -}}
{{- if hasKey ($accounts.argon2 | default dict) "memory" }}{{ $bytes := include "vestibule.bytes" $accounts.argon2.memory | int64 }}{{ if or (lt $bytes 8388608) (ge $bytes 1073742848) }}{{ $mistakes = append $mistakes "config.local_accounts.argon2.memory: must be from 8MiB to 1GiB" }}{{ end }}{{ end -}}
{{- range (.Values.config.log | default dict).level | default "" | splitList "," -}}
{{- if and (contains "=" .) (not (regexMatch "(?i)=\\s*(off|error|warn|info|debug|trace|[0-5])\\s*$" .)) }}{{ $mistakes = append $mistakes "config.log.level: is not a valid filter; the level after = must be off, error, warn, info, debug or trace" }}{{ end -}}
{{- end -}}
{{- if ge (int .Values.shutdown.delaySeconds) (int .Values.shutdown.deadlineSeconds) }}{{ $mistakes = append $mistakes "shutdown.delaySeconds: must be less than shutdown.deadlineSeconds, so that running requests can finish" }}{{ end -}}
{{- with .Values.terminationGracePeriodSeconds }}{{ if le (int .) (int $.Values.shutdown.deadlineSeconds) }}{{ $mistakes = append $mistakes "terminationGracePeriodSeconds: must be more than shutdown.deadlineSeconds, so that Kubernetes does not kill the pod earlier" }}{{ end }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* Helm deletes objects of a release that the chart no longer renders, so they cannot become existing objects by a change of the
values. A key ring must not be lost. */}}
{{- define "vestibule.mistakes.deleted" -}}
{{- $mistakes := list -}}
{{- range $field, $object := dict "secrets.existingSecret" (list "Secret" .Values.secrets.existingSecret) "roleMap.existingConfigMap" (list "ConfigMap" .Values.roleMap.existingConfigMap) "keyRing" (list "Secret" (include "vestibule.keyRingName" .)) -}}
{{- $kind := index $object 0 }}{{ $name := index $object 1 -}}
{{- if and $name (hasPrefix (include "vestibule.fullname" $) $name) -}}
{{- $annotations := (lookup "v1" $kind $.Release.Namespace $name | default dict).metadata | default dict | dig "annotations" dict -}}
{{- if and (eq (get $annotations "meta.helm.sh/release-name") $.Release.Name) (ne (get $annotations "helm.sh/resource-policy") "keep") }}{{ $mistakes = append $mistakes (printf "%s: %s was created by this release, which would now delete it; annotate it with helm.sh/resource-policy=keep first, or use a copy" $field $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (include "vestibule.keyRingName" .) (not .Values.keyRing.existingSecret) (not .Values.keyRing.value) -}}
{{- $held := include "vestibule.existingKeyRing" . | fromJson -}}
{{- if and $held (not (hasKey $held .Values.keyRing.key)) }}{{ $mistakes = append $mistakes (printf "keyRing.key: the existing key ring has the key %s and not %s, and a new key ring could not decrypt stored data; restore the old value" (keys $held | sortAlpha | join ", ") .Values.keyRing.key) }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* Files that the configuration refers to must be mounted. */}}
{{- define "vestibule.mistakes.files" -}}
{{- $mistakes := list -}}
{{- $named := list -}}
{{- range $name, $value := pick (.Values.config.store | default dict) "password_file" "sentinel_password_file" "ca_file" "cert_file" "key_file" }}{{ $named = append $named (list (printf "config.store.%s" $name) $value) }}{{ end -}}
{{- range $index, $provider := .Values.config.providers | default list }}{{ range $name, $value := pick $provider "client_secret_file" "ca_file" "http_proxy_credentials_file" }}{{ $named = append $named (list (printf "config.providers[%d].%s" $index $name) $value) }}{{ end }}{{ with ($provider.directory | default dict).service_account_file }}{{ $named = append $named (list (printf "config.providers[%d].directory.service_account_file" $index) .) }}{{ end }}{{ end -}}
{{- range $index, $issuer := .Values.config.token_issuers | default list }}{{ range $name, $value := pick $issuer "ca_file" "http_proxy_credentials_file" }}{{ $named = append $named (list (printf "config.token_issuers[%d].%s" $index $name) $value) }}{{ end }}{{ end -}}
{{- with .Values.config.http_proxy_credentials_file }}{{ $named = append $named (list "config.http_proxy_credentials_file" .) }}{{ end -}}
{{- with (.Values.config.check | default dict).secret_file }}{{ $named = append $named (list "config.check.secret_file" .) }}{{ end -}}
{{- $upstream := .Values.config.upstream_credential | default dict -}}
{{- range $index, $one := $upstream.static | default list }}{{ range $name, $value := pick $one "authorization_file" "value_file" }}{{ $named = append $named (list (printf "config.upstream_credential.static[%d].%s" $index $name) $value) }}{{ end }}{{ end -}}
{{- with ($upstream.assertion | default dict).keys_file }}{{ $named = append $named (list "config.upstream_credential.assertion.keys_file" .) }}{{ end -}}
{{- range $name, $value := pick (.Values.config.ui | default dict) "logo_file" "text_file" }}{{ $named = append $named (list (printf "config.ui.%s" $name) $value) }}{{ end -}}
{{- range $index, $one := (.Values.config.ui | default dict).origins | default list }}{{ with $one.logo_file }}{{ $named = append $named (list (printf "config.ui.origins[%d].logo_file" $index) .) }}{{ end }}{{ end -}}
{{- range $named -}}
{{- $field := index . 0 }}{{ $path := index . 1 -}}
{{- if hasPrefix "/etc/vestibule/secrets/" $path -}}
{{- if not (include "vestibule.secretsName" $) }}{{ $mistakes = append $mistakes (printf "%s: the file %s does not exist, because there is no Secret; set secrets.existingSecret or secrets.values" $field $path) }}
{{- else if and (not $.Values.secrets.existingSecret) (not (hasKey $.Values.secrets.values (base $path))) }}{{ $mistakes = append $mistakes (printf "%s: the file %s does not exist, because secrets.values has no %s; add it" $field $path (base $path)) }}{{ end -}}
{{- else if hasPrefix "/etc/vestibule/config/" $path -}}
{{- if not (hasKey $.Values.extraFiles (base $path)) }}{{ $mistakes = append $mistakes (printf "%s: the file %s does not exist, because extraFiles has no %s; add it" $field $path (base $path)) }}{{ end -}}
{{- else if not $.Values.extraVolumeMounts }}{{ $mistakes = append $mistakes (printf "%s: no volume is mounted at %s; secrets are mounted in /etc/vestibule/secrets and extraFiles in /etc/vestibule/config" $field $path) }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.roleMap" -}}
{{- $mistakes := list -}}
{{- $map := .Values.roleMap -}}
{{- if and $map.document $map.existingConfigMap }}{{ $mistakes = append $mistakes "roleMap.document: cannot be combined with roleMap.existingConfigMap; remove one of them" }}{{ end -}}
{{- if $map.fragments.selector -}}
{{- if not (include "vestibule.roleMapName" .) }}{{ $mistakes = append $mistakes "roleMap.fragments.selector: requires roleMap.document or roleMap.existingConfigMap, which the fragments extend" }}
{{- else if not $map.watch }}{{ $mistakes = append $mistakes "roleMap.fragments.selector: requires roleMap.watch; a mounted role map cannot have fragments" }}{{ end -}}
{{- end -}}
{{- if and $map.namespace (not $map.existingConfigMap) }}{{ $mistakes = append $mistakes "roleMap.namespace: requires roleMap.existingConfigMap; the chart's own ConfigMap is in the release's namespace" }}{{ end -}}
{{- if and $map.namespace (not $map.watch) }}{{ $mistakes = append $mistakes "roleMap.namespace: requires roleMap.watch; a ConfigMap of another namespace cannot be mounted" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.gateway" -}}
{{- $mistakes := list -}}
{{- $upstream := include "vestibule.upstreamService" . -}}
{{- $type := .Values.gateway.type -}}
{{- if and (or (include "vestibule.usesIngress" .) (ne $type "none")) (not $upstream) }}{{ $mistakes = append $mistakes (printf "upstream.serviceName: is required with %s; set the Service that receives allowed requests" (eq $type "none" | ternary "ingress.enabled" "gateway.type")) }}{{ end -}}
{{- if and (ne .Values.mode "sidecar") (has $upstream (list (printf "%s-check" (include "vestibule.fullname" .)) (printf "%s-admin" (include "vestibule.fullname" .)))) }}{{ $mistakes = append $mistakes (printf "upstream.serviceName: %s is one of Vestibule's own Services, to which no gateway may route; set the upstream's Service" $upstream) }}{{ end -}}
{{- if include "vestibule.usesIngress" . -}}
{{- $own := "nginx.ingress.kubernetes.io/" -}}
{{- $hosts := include "vestibule.ingress.hosts" . | fromJsonArray -}}
{{- $check := include "vestibule.ingress.check" (dict "root" . "host" (first $hosts)) | fromYaml -}}
{{- range $field := list "annotations" "upstreamAnnotations" -}}
{{- range $name, $value := pick (get $.Values.ingress $field) (printf "%sauth-url" $own) (printf "%sauth-response-headers" $own) (printf "%sauth-signin" $own) (printf "%sauth-snippet" $own) (printf "%sauth-proxy-set-headers" $own) -}}
{{- $url := get $check (printf "%sauth-url" $own) -}}
{{- $narrows := and (eq $field "upstreamAnnotations") (eq $name (printf "%sauth-url" $own)) (hasPrefix $url $value) (regexMatch "^(&(allow_(roles|teams)=[^&+#\\s]*|route=[a-z0-9-]{1,32}))+$" (trimPrefix $url $value)) -}}
{{- if not $narrows }}{{ $mistakes = append $mistakes (printf "ingress.%s.%s: is set by the chart; upstreamAnnotations may only append allow_roles, allow_teams and route to auth-url: %s&route=…" $field $name $url) }}
{{- else if and (contains "%" $value) (ne $.Values.ingress.controller "traefik") }}{{ $mistakes = append $mistakes (printf "ingress.%s.%s: must not contain %%, because ingress-nginx refuses Ingresses whose auth-url has one; list the roles and teams under a name in routes of the role map, and append &route=NAME" $field $name) }}
{{- else if gt (len $hosts) 1 }}{{ $mistakes = append $mistakes (printf "ingress.%s.%s: would name the host %s for the hosts of config.origins too; use access rules of the role map" $field $name (first $hosts)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $secret := .Values.ingress.gatewaySecret -}}
{{- $traefik := eq .Values.ingress.controller "traefik" -}}
{{- if and $secret.value (not (regexMatch "^[A-Za-z0-9._~+/=-]{32,256}$" $secret.value)) }}{{ $mistakes = append $mistakes "ingress.gatewaySecret.value: must be one line of 32 to 256 letters, digits and -._~+/=" }}{{ end -}}
{{- if and $secret.value $secret.existingConfigMap }}{{ $mistakes = append $mistakes "ingress.gatewaySecret.existingConfigMap: cannot be combined with ingress.gatewaySecret.value; remove one of them" }}{{ end -}}
{{- if and $traefik $secret.existingConfigMap }}{{ $mistakes = append $mistakes "ingress.gatewaySecret.existingConfigMap: Traefik does not read headers from ConfigMaps; set ingress.gatewaySecret.value" }}{{ end -}}
{{- if and (include "vestibule.requiresGatewaySecret" .) (not (or $secret.value $secret.existingConfigMap)) }}{{ $mistakes = append $mistakes (printf "ingress.gatewaySecret.%s: is required with config.check.secret_file; the check would refuse every request of the Ingresses" ($traefik | ternary "value" "existingConfigMap")) }}{{ end -}}
{{- if and (or $secret.value $secret.existingConfigMap) (not (include "vestibule.requiresGatewaySecret" .)) }}{{ $mistakes = append $mistakes "ingress.gatewaySecret: has no effect without config.check.secret_file, with which the check verifies it; set it or remove the field" }}{{ end -}}
{{- range .Values.ingress.programPaths -}}
{{- if has (trimSuffix "/" .) (prepend (include "vestibule.ownPaths" $ | fromJsonArray) "") }}{{ $mistakes = append $mistakes (printf "ingress.programPaths: %s has an Ingress already; remove it" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- if not .Values.httpRoute.parentRefs }}{{ $mistakes = append $mistakes "httpRoute.parentRefs: is required; set the Gateways that serve the route" }}{{ end -}}
{{- if and .Values.httpRoute.upstreamFilters (not $upstream) }}{{ $mistakes = append $mistakes "upstream.serviceName: is required with httpRoute.upstreamFilters; set the Service that receives allowed requests" }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* Values that the gateway of `gateway.type` cannot implement, and fields that have no effect with it. */}}
{{- define "vestibule.mistakes.gatewayType" -}}
{{- $mistakes := list -}}
{{- $gateway := .Values.gateway -}}
{{- $type := $gateway.type -}}
{{- $isIngressNginx := eq $type "ingress-nginx" -}}
{{- if and .Values.ingress.enabled (not (has $type (list "none" "ingress-nginx"))) }}{{ $mistakes = append $mistakes (printf "ingress.enabled: must be false with gateway.type: %s, which has routes of its own" $type) }}{{ end -}}
{{- if and $isIngressNginx (ne .Values.ingress.controller "ingress-nginx") }}{{ $mistakes = append $mistakes "ingress.controller: must be ingress-nginx with gateway.type: ingress-nginx; for Traefik's provider of these annotations, set ingress.enabled instead of gateway.type" }}{{ end -}}
{{- if and .Values.httpRoute.enabled (ne $type "none") }}{{ $mistakes = append $mistakes (printf "httpRoute.enabled: must be false with gateway.type: %s, which has routes of its own" $type) }}{{ end -}}
{{- if ne $type "none" -}}
{{- range $name, $given := dict "host" .Values.ingress.host "programPaths" .Values.ingress.programPaths "upstreamAnnotations" .Values.ingress.upstreamAnnotations "annotations" .Values.ingress.annotations "tlsSecret" .Values.ingress.tlsSecret "gatewaySecret" (or .Values.ingress.gatewaySecret.value .Values.ingress.gatewaySecret.existingConfigMap) -}}
{{- if and $given (not $isIngressNginx) }}{{ $mistakes = append $mistakes (printf "ingress.%s: has no effect with gateway.type: %s; remove it" $name $type) }}{{ end -}}
{{- end -}}
{{- range $name, $given := pick .Values.httpRoute "hostnames" "upstreamFilters" }}{{ if $given }}{{ $mistakes = append $mistakes (printf "httpRoute.%s: has no effect with gateway.type: %s, which serves the hosts of config.public_url and config.origins; remove it" $name $type) }}{{ end }}{{ end -}}
{{- end -}}
{{- if include "vestibule.protectsHTTPRoutes" . -}}
{{- if not .Values.httpRoute.parentRefs }}{{ $mistakes = append $mistakes (printf "httpRoute.parentRefs: is required with gateway.type: %s; set the Gateways that serve the routes" $type) }}{{ end -}}
{{- else if and .Values.httpRoute.parentRefs (not .Values.httpRoute.enabled) (ne $type "none") }}{{ $mistakes = append $mistakes (printf "httpRoute.parentRefs: has no effect with gateway.type: %s, which has no HTTPRoutes; remove it" $type) }}{{ end -}}
{{- range $name, $types := dict "className" (list "traefik" "haproxy") "tlsSecret" (list "traefik" "haproxy") "annotations" (list "traefik" "haproxy" "nginx") "allowServiceWorkers" (list "traefik" "nginx" "nginx-gateway-fabric" "haproxy") -}}
{{- if and (get $gateway $name) (not (has $type $types)) }}{{ $mistakes = append $mistakes (printf "gateway.%s: has an effect with gateway.type: %s only; remove it" $name (join ", " $types)) }}{{ end -}}
{{- end -}}
{{- range $host := include "vestibule.gateway.hosts" . | fromJsonArray -}}
{{- if and (ne $type "none") (not (and (regexMatch "[a-z]" $host) (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" $host))) }}{{ $mistakes = append $mistakes (printf "config: gateway.type: %s cannot serve the host %s; it must be a DNS name" $type $host) }}{{ end -}}
{{- end -}}
{{- toJson (concat $mistakes (include "vestibule.mistakes.gatewaySecret" . | fromJsonArray)) -}}
{{- end -}}

{{- define "vestibule.mistakes.gatewaySecret" -}}
{{- $mistakes := list -}}
{{- $type := .Values.gateway.type -}}
{{- $secret := .Values.gateway.secret -}}
{{- $fields := include "vestibule.gateway.secretFields" . | fromJsonArray -}}
{{- $instead := get (dict "ingress-nginx" "set ingress.gatewaySecret" "nginx" "nginx reads it from its environment variable VESTIBULE_GATEWAY_SECRET" "istio" "Istio reads it from the extension provider in its mesh configuration" "gateway-api" "the filter ExternalAuth cannot send it" "none" "set gateway.type") $type | default "this gateway cannot read it from a Secret; set gateway.secret.value" -}}
{{- range $name := list "value" "existingSecret" -}}
{{- if and (get $secret $name) (not (has $name $fields)) }}{{ $mistakes = append $mistakes (printf "gateway.secret.%s: has no effect with gateway.type: %s; %s" $name $type $instead) }}{{ end -}}
{{- end -}}
{{- if and $secret.value (not (regexMatch "^[A-Za-z0-9._~+/=-]{32,256}$" $secret.value)) }}{{ $mistakes = append $mistakes "gateway.secret.value: must be one line of 32 to 256 letters, digits and -._~+/=" }}{{ end -}}
{{- if and $secret.value $secret.existingSecret }}{{ $mistakes = append $mistakes "gateway.secret.existingSecret: cannot be combined with gateway.secret.value; remove one of them" }}{{ end -}}
{{- if include "vestibule.requiresGatewaySecret" . -}}
{{- if eq $type "gateway-api" }}{{ $mistakes = append $mistakes "gateway.type: gateway-api cannot send the gateway secret that config.check.secret_file requires, because the filter ExternalAuth adds no headers; admit only the gateway by networkPolicy.gateway, and set config.check.trust_network instead of config.check.secret_file" }}{{ end -}}
{{- if and $fields (not (or $secret.value $secret.existingSecret)) }}{{ $mistakes = append $mistakes (printf "gateway.secret.%s: is required with config.check.secret_file; the check would refuse every request of the gateway" (last $fields)) }}{{ end -}}
{{- else if or $secret.value $secret.existingSecret }}{{ $mistakes = append $mistakes "gateway.secret: has no effect without config.check.secret_file, with which the check verifies it; set it or remove the field" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* The check listens on the pod's address in every mode, because gateway and kubelet connect from outside of the pod. */}}
{{- define "vestibule.mistakes.network" -}}
{{- $mistakes := list -}}
{{- $policy := .Values.networkPolicy -}}
{{- if include "vestibule.admitsOnlyGateway" . -}}
{{- if $policy.leaveCheckOpen }}{{ $mistakes = append $mistakes "networkPolicy.leaveCheckOpen: cannot be combined with networkPolicy.gateway, which restricts the check to the gateway; remove one of them" }}{{ end -}}
{{- else if and (include "vestibule.returnsUpstreamCredential" .) (not $policy.leaveCheckOpen) -}}
{{- $field := empty $policy.enabled | ternary "networkPolicy.enabled: must be true" "networkPolicy.gateway: is required" -}}
{{- $mistakes = append $mistakes (printf "%s with config.upstream_credential.static: the check returns the upstream's credential to its callers, and without a NetworkPolicy every pod of the cluster can call it; set the gateway's peers, or networkPolicy.leaveCheckOpen: true if something else admits only the gateway" $field) -}}
{{- end -}}
{{- if and $policy.upstream.podLabels (eq .Values.mode "sidecar") }}{{ $mistakes = append $mistakes "networkPolicy.upstream.podLabels: has no effect with mode: sidecar, where the upstream runs in the same pods; remove it" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}
