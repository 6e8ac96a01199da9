{{/*
What the schema can't say: what fields demand of each other. All mistakes are told at once, and nothing is installed with
one. What the binary would refuse at its start is refused here first.
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
  (include "vestibule.mistakes.network" . | fromJsonArray) -}}
{{- if $mistakes -}}
{{- fail (printf "\n\nThe values can't be installed:\n  %s\n" (join "\n  " $mistakes)) -}}
{{- end -}}
{{- end -}}

{{- define "vestibule.mistakes.shape" -}}
{{- $mistakes := list -}}
{{- $url := .Values.config.public_url -}}
{{- if not $url }}{{ $mistakes = append $mistakes "config.public_url: is required: the one origin that browsers see, such as https://llm.example.com" }}
{{- else if not (regexMatch "^https?://[^/?#@\\s]+/?$" $url) }}{{ $mistakes = append $mistakes "config.public_url: must be an origin such as https://llm.example.com, without user name, path, query or fragment" }}
{{- else if and (hasPrefix "https://" $url) (not (include "vestibule.isEndpoint" $url)) }}{{ $mistakes = append $mistakes "config.public_url: must be an origin such as https://llm.example.com; its host or port is none" }}
{{- else if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes "config.public_url: must be https://; http:// is accepted for loopback hosts only, since cookies would travel in clear" }}
{{- else if hasSuffix "." (include "vestibule.publicHost" .) }}{{ $mistakes = append $mistakes "config.public_url: the host must not end with a dot: to a browser that is another origin" }}{{ end -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" -}}
{{- $network := printf "^(%s(\\.%s){3}(/(3[0-2]|[12]?[0-9]))?|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$" $octet $octet -}}
{{- range .Values.config.trusted_proxies | default list }}{{ if not (regexMatch $network .) }}{{ $mistakes = append $mistakes (printf "config.trusted_proxies: %s is no address or network such as 10.0.0.0/8" .) }}{{ else if hasSuffix "/0" . }}{{ $mistakes = append $mistakes "config.trusted_proxies: /0 would believe everybody's X-Forwarded-For; name the gateway's own network" }}{{ end }}{{ end -}}
{{- if not .Values.image.repository }}{{ $mistakes = append $mistakes "image.repository: is required: no image is published yet; build one with the repository's Dockerfile" }}{{ end -}}
{{- if eq .Values.mode "sidecar" -}}
{{- if not .Values.upstream.image.repository }}{{ $mistakes = append $mistakes "upstream.image.repository: is required with mode: sidecar, which runs it beside Vestibule" }}{{ end -}}
{{- if .Values.upstream.serviceName }}{{ $mistakes = append $mistakes "upstream.serviceName: means nothing with mode: sidecar, which makes the upstream's Service" }}{{ end -}}
{{- if has (int .Values.upstream.port) (list (int .Values.ports.public) (int .Values.ports.check) (int .Values.ports.admin)) }}{{ $mistakes = append $mistakes "upstream.port: is one of Vestibule's ports too; containers of a pod share them" }}{{ end -}}
{{- else if .Values.upstream.image.repository }}{{ $mistakes = append $mistakes "upstream.image.repository: means something with mode: sidecar only" }}{{ end -}}
{{- if and .Values.autoscaling.enabled (eq .Values.mode "embedded") }}{{ $mistakes = append $mistakes "autoscaling.enabled: the pods of mode: embedded are another chart's to scale" }}{{ end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}{{ $mistakes = append $mistakes "autoscaling.minReplicas: is above autoscaling.maxReplicas" }}{{ end -}}
{{- if ne 3 (len (uniq (list (int .Values.ports.public) (int .Values.ports.check) (int .Values.ports.admin)))) }}{{ $mistakes = append $mistakes "ports: each listener needs its own" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* What the chart writes itself and may not be written twice, and names that the API server would refuse half-way. */}}
{{- define "vestibule.mistakes.names" -}}
{{- $mistakes := list -}}
{{- $name := include "vestibule.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}{{ $mistakes = append $mistakes (printf "fullnameOverride: the objects would be named %s, and a Service's name has letters, digits and hyphens only and begins with a letter" $name) }}{{ end -}}
{{- range $field := list "commonLabels" "podLabels" -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" "vestibule/listener" -}}
{{- if hasKey (get $.Values $field) $label }}{{ $mistakes = append $mistakes (printf "%s.%s: is the chart's own" $field $label) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.podAnnotations "vestibule/configuration" }}{{ $mistakes = append $mistakes "podAnnotations.vestibule/configuration: is the chart's own" }}{{ end -}}
{{- if hasKey .Values.extraFiles "vestibule.yaml" }}{{ $mistakes = append $mistakes "extraFiles.vestibule.yaml: is the configuration itself, which is made of config" }}{{ end -}}
{{- if and .Values.rbac.create (not .Values.serviceAccount.create) (has .Values.serviceAccount.name (list "" "default")) (include "vestibule.asksApiServer" .) }}{{ $mistakes = append $mistakes "serviceAccount.name: is required with serviceAccount.create: false: what the role map's watch and workloads need would be given to the namespace's default ServiceAccount, which is every pod's" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.store" -}}
{{- $mistakes := list -}}
{{- $store := .Values.config.store | default dict -}}
{{- $url := $store.url | default "memory" -}}
{{- if eq $url "memory" -}}
{{- if gt (include "vestibule.mostReplicas" . | int) 1 }}{{ $mistakes = append $mistakes (printf "%s: several pods need a store that all of them share: a login that one began, another could not finish; set config.store.url to a Redis, or run one pod" (.Values.autoscaling.enabled | ternary "autoscaling.maxReplicas" "replicaCount")) }}{{ end -}}
{{- range $name, $_ := omit $store "url" }}{{ $mistakes = append $mistakes (printf "config.store.%s: means nothing to the memory store; set config.store.url or take it out" $name) }}{{ end -}}
{{- else -}}
{{- if not (contains "-sentinel://" $url) }}{{ range $name, $_ := pick $store "sentinel_username" "sentinel_password_file" }}{{ $mistakes = append $mistakes (printf "config.store.%s: means something with a redis-sentinel:// or rediss-sentinel:// URL only" $name) }}{{ end }}{{ end -}}
{{- if and $store.ca_file (not (hasPrefix "rediss" $url)) }}{{ $mistakes = append $mistakes "config.store.ca_file: means something with TLS only, as in rediss://" }}{{ end -}}
{{- end -}}
{{- if and .Values.keyRing.existingSecret .Values.keyRing.value }}{{ $mistakes = append $mistakes "keyRing.value: stands beside keyRing.existingSecret; take one of them out" }}{{ end -}}
{{- if and .Values.secrets.existingSecret .Values.secrets.values }}{{ $mistakes = append $mistakes "secrets.values: stands beside secrets.existingSecret; take one of them out" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* Nothing, or a colon and a port from 1 to 65535. */}}
{{- define "vestibule.portPattern" -}}
(:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?
{{- end -}}

{{/* "yes" for an https URL, or an http one on loopback, without credentials and fragment. */}}
{{- define "vestibule.isEndpoint" -}}
{{- if regexMatch (printf "^(https://(\\[[0-9a-fA-F:.]+\\]|[^][/?#@:*\\s]+)|http://(localhost|127\\.[0-9.]+|\\[::1\\]))%s([/?][^#\\s]*)?$" (include "vestibule.portPattern" .)) . }}yes{{ end -}}
{{- end -}}

{{/* URLs and key ring may hold a secret by mistake: the schema would repeat them, so they are judged here. */}}
{{- define "vestibule.mistakes.urls" -}}
{{- $mistakes := list -}}
{{- $host := printf "(\\[[0-9a-fA-F:.]+\\]|[^][@?#,/:\\s]+)%s" (include "vestibule.portPattern" .) -}}
{{- $forms := list "memory" (printf "rediss?://%s(/([0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5])?)?" $host) (printf "rediss?-sentinel://%s(,%s)*/[A-Za-z0-9._-]+" $host $host) (printf "rediss?-cluster://%s(,%s)*/?" $host $host) -}}
{{- with (.Values.config.store | default dict).url -}}
{{- if contains "@" . }}{{ $mistakes = append $mistakes "config.store.url: must not hold a user name or password; write them into username and password_file" }}
{{- else if not (regexMatch (printf "^(%s)$" (join "|" $forms)) .) }}{{ $mistakes = append $mistakes "config.store.url: must be memory, redis://host:port/database, redis-sentinel://host:port,host:port/master or redis-cluster://host:port,host:port; with TLS rediss" }}{{ end -}}
{{- end -}}
{{- range $index, $provider := .Values.config.providers | default list -}}
{{- range $name, $url := pick $provider "issuer" "authorization_endpoint" "token_endpoint" "userinfo_endpoint" "jwks_uri" "end_session_endpoint" -}}
{{- if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes (printf "config.providers[%d].%s: must be an https:// URL without user name, password and fragment; http is accepted for loopback hosts only" $index $name) }}
{{- else if and (eq $name "issuer") (contains "?" $url) }}{{ $mistakes = append $mistakes (printf "config.providers[%d].issuer: must not have a query: no issuer has one" $index) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.keyRing.value (not (regexMatch "^(\\s*(#[^\\n]*|[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])?\\s*(\\n|$))*$" .Values.keyRing.value)) }}{{ $mistakes = append $mistakes "keyRing.value: must be one key a line, 32 bytes in base64url without padding, as `vestibule key-ring new` prints it" }}{{ end -}}
{{- with .Values.keyRing.value -}}
{{- $keys := regexFindAll "(?m)^\\s*[A-Za-z0-9_-]{43}\\s*$" . -1 -}}
{{- $trimmed := list }}{{ range $keys }}{{ $trimmed = append $trimmed (trim .) }}{{ end -}}
{{- if or (not $trimmed) (ne (len $trimmed) (len (uniq $trimmed))) }}{{ $mistakes = append $mistakes "keyRing.value: must hold at least one key, and each once" }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.providers" -}}
{{- $mistakes := list -}}
{{- $ids := list -}}
{{- range $index, $provider := .Values.config.providers | default list -}}
{{- $at := printf "config.providers[%d]" $index -}}
{{- if has $provider.id $ids }}{{ $mistakes = append $mistakes (printf "%s.id: %s is another provider's too; each needs its own" $at $provider.id) }}{{ end -}}
{{- $ids = append $ids $provider.id -}}
{{- if eq ($provider.kind | default "oidc") "oauth2" -}}
{{- range $name := list "authorization_endpoint" "token_endpoint" "userinfo_endpoint" }}{{ if not (hasKey $provider $name) }}{{ $mistakes = append $mistakes (printf "%s.%s: is required with kind: oauth2, which has no discovery" $at $name) }}{{ end }}{{ end -}}
{{- range $name := list "issuer" "jwks_uri" "algorithms" "end_session_endpoint" "logout" }}{{ if hasKey $provider $name }}{{ $mistakes = append $mistakes (printf "%s.%s: is OpenID Connect's, and this provider has kind: oauth2" $at $name) }}{{ end }}{{ end -}}
{{- else -}}
{{- if not $provider.issuer }}{{ $mistakes = append $mistakes (printf "%s.issuer: is required" $at) }}{{ end -}}
{{- $given := list }}{{ range $name := list "authorization_endpoint" "token_endpoint" "jwks_uri" }}{{ if hasKey $provider $name }}{{ $given = append $given $name }}{{ end }}{{ end -}}
{{- if and $given (lt (len $given) 3) }}{{ $mistakes = append $mistakes (printf "%s: authorization_endpoint, token_endpoint and jwks_uri go together" $at) }}{{ end -}}
{{- range $name := list "subject_field" "email_field" "preferred_username_field" }}{{ if hasKey $provider $name }}{{ $mistakes = append $mistakes (printf "%s.%s: means something with kind: oauth2 only" $at $name) }}{{ end }}{{ end -}}
{{- if and (hasKey $provider "scopes") (not (has "openid" $provider.scopes)) }}{{ $mistakes = append $mistakes (printf "%s.scopes: must hold openid: without it there is no id_token" $at) }}{{ end -}}
{{- end -}}
{{- if eq $provider.id "local" }}{{ $mistakes = append $mistakes (printf "%s.id: must not be local: that names the accounts that live here" $at) }}{{ end -}}
{{- range $name, $_ := pick ($provider.authorization_params | default dict) "state" "nonce" "code_challenge" "code_challenge_method" "redirect_uri" "response_type" "response_mode" "client_id" "client_secret" "scope" "request" "request_uri" "id_token_hint" }}{{ $mistakes = append $mistakes (printf "%s.authorization_params.%s: is the protocol's own and is set by Vestibule" $at $name) }}{{ end -}}
{{- if and (hasPrefix "client_secret_" ($provider.token_endpoint_auth_method | default "auto")) (not (hasKey $provider "client_secret_file")) }}{{ $mistakes = append $mistakes (printf "%s.token_endpoint_auth_method: needs client_secret_file" $at) }}{{ end -}}
{{- $public := eq ($provider.token_endpoint_auth_method | default "auto") "none" -}}
{{- if and $public (hasKey $provider "client_secret_file") }}{{ $mistakes = append $mistakes (printf "%s.client_secret_file: is not sent with token_endpoint_auth_method: none" $at) }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.tokenIssuers" -}}
{{- $mistakes := list -}}
{{- $providers := .Values.config.providers | default list -}}
{{- $ids := list }}{{ $clients := list }}{{ range $providers }}{{ $ids = append $ids .id }}{{ $clients = append $clients .client_id }}{{ end -}}
{{- $seen := list }}{{ $names := list }}{{ $clusters := 0 -}}
{{- range $index, $issuer := .Values.config.token_issuers | default list -}}
{{- $at := printf "config.token_issuers[%d]" $index -}}
{{- if has $issuer.id $seen }}{{ $mistakes = append $mistakes (printf "%s.id: %s is another token issuer's too; each needs its own" $at $issuer.id) }}{{ end -}}
{{- if has $issuer.id $ids }}{{ $mistakes = append $mistakes (printf "%s.id: %s is a provider's, and rules that name it could mean either" $at $issuer.id) }}{{ end -}}
{{- if eq $issuer.id "local" }}{{ $mistakes = append $mistakes (printf "%s.id: must not be local: that names the accounts that live here" $at) }}{{ end -}}
{{- $seen = append $seen $issuer.id -}}
{{- range $issuer.audiences }}{{ if has . $clients }}{{ $mistakes = append $mistakes (printf "%s.audiences: %s is a provider's client_id: its id_tokens would pass" $at .) }}{{ end }}{{ end -}}
{{- if eq ($issuer.kind | default "oidc") "kubernetes" -}}
{{- $clusters = add1 $clusters -}}
{{- if gt (int $clusters) 1 }}{{ $mistakes = append $mistakes (printf "%s.kind: is that of an issuer before it too: there is one API server" $at) }}{{ end -}}
{{- range $name := list "issuer" "provider" "jwks_uri" "ca_file" "workload" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: is for kind: oidc" $at $name) }}{{ end }}{{ end -}}
{{- with $issuer.review_cache }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 1000) (gt $limit 3600000) }}{{ $mistakes = append $mistakes (printf "%s.review_cache: must be from 1s to 1h" $at) }}{{ end }}{{ end -}}
{{- if and (hasKey $issuer "review_cache") (not $issuer.review) }}{{ $mistakes = append $mistakes (printf "%s.review_cache: has no effect without review: true" $at) }}{{ end -}}
{{- else -}}
{{- if not $issuer.audiences }}{{ $mistakes = append $mistakes (printf "%s.audiences: is required: who the tokens are for" $at) }}{{ end -}}
{{- range $name := list "review" "review_cache" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: is for kind: kubernetes" $at $name) }}{{ end }}{{ end -}}
{{- if $issuer.provider -}}
{{- range $name := list "issuer" "jwks_uri" "ca_file" }}{{ if hasKey $issuer $name }}{{ $mistakes = append $mistakes (printf "%s.%s: stands beside provider; take one of them out" $at $name) }}{{ end }}{{ end -}}
{{- if not (has $issuer.provider $ids) }}{{ $mistakes = append $mistakes (printf "%s.provider: %s is no provider's id" $at $issuer.provider) }}{{ end -}}
{{- $name := printf "provider %s" $issuer.provider -}}
{{- range $providers }}{{ if eq .id $issuer.provider }}{{ if eq (.kind | default "oidc") "oauth2" }}{{ $mistakes = append $mistakes (printf "%s.provider: is of kind: oauth2, which has no tokens that could be verified" $at) }}{{ else }}{{ $name = .issuer }}{{ end }}{{ end }}{{ end -}}
{{- if has $name $names }}{{ $mistakes = append $mistakes (printf "%s.provider: has the issuer of another token issuer" $at) }}{{ end -}}
{{- $names = append $names $name -}}
{{- else if not $issuer.issuer }}{{ $mistakes = append $mistakes (printf "%s.issuer: is required, unless provider names a configured provider" $at) }}
{{- else -}}
{{- if has $issuer.issuer $names }}{{ $mistakes = append $mistakes (printf "%s.issuer: is another token issuer's too" $at) }}{{ end -}}
{{- $names = append $names $issuer.issuer -}}
{{- end -}}
{{- end -}}
{{- range $name, $url := pick $issuer "issuer" "jwks_uri" -}}
{{- if not (include "vestibule.isEndpoint" $url) }}{{ $mistakes = append $mistakes (printf "%s.%s: must be an https:// URL without user name, password and fragment; http is accepted for loopback hosts only" $at $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* A credential may stand where a name belongs, by mistake: the schema would repeat it, so names are judged here. */}}
{{- define "vestibule.mistakes.upstreamCredential" -}}
{{- $mistakes := list -}}
{{- $section := .Values.config.upstream_credential | default dict -}}
{{- $assertion := $section.assertion | default dict -}}
{{- $own := list "none" "pass" "assertion" -}}
{{- $names := list }}{{ $forEverybody := list -}}
{{- range $index, $one := $section.static | default list -}}
{{- $at := printf "config.upstream_credential.static[%d]" $index -}}
{{- $name := hasKey $one "name" | ternary $one.name "static" -}}
{{- if not (regexMatch "^[a-z0-9-]{1,32}$" $name) }}{{ $mistakes = append $mistakes (printf "%s.name: must be 1 to 32 of the letters a-z, digits and -" $at) }}
{{- else if has $name $own }}{{ $mistakes = append $mistakes (printf "%s.name: must not be none, pass or assertion, which mean something else" $at) }}
{{- else if has $name $forEverybody }}{{ $mistakes = append $mistakes (printf "%s.name: %s has an entry for everybody before this one, which is never reached" $at $name) }}{{ end -}}
{{- if not $one.authorization_file }}{{ $mistakes = append $mistakes (printf "%s.authorization_file: is required: what the upstream is to receive" $at) }}{{ end -}}
{{- range $list := list "roles" "teams" }}{{ if and (hasKey $one $list) (not (get $one $list)) }}{{ $mistakes = append $mistakes (printf "%s.%s: is empty, and so it would be for nobody; leave it out for everybody" $at $list) }}{{ end }}{{ end -}}
{{- if not (or (hasKey $one "roles") (hasKey $one "teams")) }}{{ $forEverybody = append $forEverybody $name }}{{ end -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- if $assertion.keys_file -}}
{{- if not $assertion.audience }}{{ $mistakes = append $mistakes "config.upstream_credential.assertion.audience: is required: whom the assertions are for" }}{{ end -}}
{{- else -}}
{{- range $name, $_ := $assertion }}{{ $mistakes = append $mistakes (printf "config.upstream_credential.assertion.%s: means nothing without keys_file, which signs it" $name) }}{{ end -}}
{{- end -}}
{{- if hasKey $section "default" -}}
{{- if not (regexMatch "^[a-z0-9-]{1,32}$" $section.default) }}{{ $mistakes = append $mistakes "config.upstream_credential.default: must be none, pass, assertion, or a name of config.upstream_credential.static" }}
{{- else if and (eq $section.default "assertion") (not $assertion.keys_file) }}{{ $mistakes = append $mistakes "config.upstream_credential.default: assertion needs config.upstream_credential.assertion.keys_file" }}
{{- else if not (has $section.default (concat $own $names)) }}{{ $mistakes = append $mistakes (printf "config.upstream_credential.default: %s is no name of config.upstream_credential.static" $section.default) }}{{ end -}}
{{- end -}}
{{- $known := concat (list "none" "pass") $names (empty $assertion.keys_file | ternary list (list "assertion")) -}}
{{- $document := .Values.roleMap.document }}{{ if kindIs "string" $document }}{{ $document = fromYaml $document }}{{ end -}}
{{- $rules := get ($document | default dict) "access" }}{{ if not (kindIs "slice" $rules) }}{{ $rules = list }}{{ end -}}
{{- range $index, $rule := $rules }}{{ if and (kindIs "map" $rule) (hasKey $rule "upstream_credential") }}{{ if not (has $rule.upstream_credential $known) }}{{ $mistakes = append $mistakes (printf "roleMap.document: access[%d].upstream_credential must be none, pass or what config.upstream_credential has" $index) }}{{ end }}{{ end }}{{ end -}}
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
{{- if gt (include "vestibule.milliseconds" ($sessions.idle | default "12h") | int64) (include "vestibule.milliseconds" ($sessions.absolute | default "7d") | int64) }}{{ $mistakes = append $mistakes "config.sessions.idle: must not be longer than config.sessions.absolute, which ends the session anyway" }}{{ end -}}
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
{{- with get $keys . }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit (int64 $least)) (gt $limit 315360000000) }}{{ $mistakes = append $mistakes "config.keys: a duration is out of its bounds: from 1s, claims_max_age from 2h, to 3650d" }}{{ end }}{{ end -}}
{{- end -}}
{{- $accounts := .Values.config.local_accounts | default dict -}}
{{- with $accounts.invitation_duration }}{{ $limit := include "vestibule.milliseconds" . | int64 }}{{ if or (lt $limit 60000) (gt $limit 2592000000) }}{{ $mistakes = append $mistakes "config.local_accounts.invitation_duration: must be from 1m to 30d" }}{{ end }}{{ end -}}
{{- if hasKey ($accounts.argon2 | default dict) "memory" }}{{ $bytes := include "vestibule.bytes" $accounts.argon2.memory | int64 }}{{ if or (lt $bytes 8388608) (ge $bytes 1073742848) }}{{ $mistakes = append $mistakes "config.local_accounts.argon2.memory: must be from 8MiB to 1GiB" }}{{ end }}{{ end -}}
{{- range (.Values.config.log | default dict).level | default "" | splitList "," -}}
{{- if and (contains "=" .) (not (regexMatch "(?i)=\\s*(off|error|warn|info|debug|trace|[0-5])\\s*$" .)) }}{{ $mistakes = append $mistakes "config.log.level: is no filter: after = stands off, error, warn, info, debug or trace" }}{{ end -}}
{{- end -}}
{{- if ge (int .Values.shutdown.delaySeconds) (int .Values.shutdown.deadlineSeconds) }}{{ $mistakes = append $mistakes "shutdown.delaySeconds: must be less than shutdown.deadlineSeconds, or nothing has time to finish" }}{{ end -}}
{{- with .Values.terminationGracePeriodSeconds }}{{ if le (int .) (int $.Values.shutdown.deadlineSeconds) }}{{ $mistakes = append $mistakes "terminationGracePeriodSeconds: must be more than shutdown.deadlineSeconds, or Kubernetes kills the pod before" }}{{ end }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* Helm deletes what is part of a release once the chart doesn't render it any more: it can't go on as one that exists. And a
key ring must not be lost. */}}
{{- define "vestibule.mistakes.deleted" -}}
{{- $mistakes := list -}}
{{- range $field, $object := dict "secrets.existingSecret" (list "Secret" .Values.secrets.existingSecret) "roleMap.existingConfigMap" (list "ConfigMap" .Values.roleMap.existingConfigMap) "keyRing" (list "Secret" (include "vestibule.keyRingName" .)) -}}
{{- $kind := index $object 0 }}{{ $name := index $object 1 -}}
{{- if and $name (hasPrefix (include "vestibule.fullname" $) $name) -}}
{{- $annotations := (lookup "v1" $kind $.Release.Namespace $name | default dict).metadata | default dict | dig "annotations" dict -}}
{{- if and (eq (get $annotations "meta.helm.sh/release-name") $.Release.Name) (ne (get $annotations "helm.sh/resource-policy") "keep") }}{{ $mistakes = append $mistakes (printf "%s: %s was made by this release, which would delete it now; annotate it with helm.sh/resource-policy=keep before, or name a copy" $field $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (include "vestibule.keyRingName" .) (not .Values.keyRing.existingSecret) (not .Values.keyRing.value) -}}
{{- $held := include "vestibule.heldKeyRing" . | fromJson -}}
{{- if and $held (not (hasKey $held .Values.keyRing.key)) }}{{ $mistakes = append $mistakes (printf "keyRing.key: the key ring that is there has %s and no %s, and a new one would open nothing; leave the key as it was" (keys $held | sortAlpha | join ", ") .Values.keyRing.key) }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* A file that the configuration names in one of the chart's directories must be there. */}}
{{- define "vestibule.mistakes.files" -}}
{{- $mistakes := list -}}
{{- $named := list -}}
{{- range $name, $value := pick (.Values.config.store | default dict) "password_file" "sentinel_password_file" "ca_file" }}{{ $named = append $named (list (printf "config.store.%s" $name) $value) }}{{ end -}}
{{- range $index, $provider := .Values.config.providers | default list }}{{ range $name, $value := pick $provider "client_secret_file" "ca_file" }}{{ $named = append $named (list (printf "config.providers[%d].%s" $index $name) $value) }}{{ end }}{{ end -}}
{{- range $index, $issuer := .Values.config.token_issuers | default list }}{{ with $issuer.ca_file }}{{ $named = append $named (list (printf "config.token_issuers[%d].ca_file" $index) .) }}{{ end }}{{ end -}}
{{- $upstream := .Values.config.upstream_credential | default dict -}}
{{- range $index, $one := $upstream.static | default list }}{{ with $one.authorization_file }}{{ $named = append $named (list (printf "config.upstream_credential.static[%d].authorization_file" $index) .) }}{{ end }}{{ end -}}
{{- with ($upstream.assertion | default dict).keys_file }}{{ $named = append $named (list "config.upstream_credential.assertion.keys_file" .) }}{{ end -}}
{{- range $name, $value := pick (.Values.config.ui | default dict) "logo_file" "text_file" }}{{ $named = append $named (list (printf "config.ui.%s" $name) $value) }}{{ end -}}
{{- range $named -}}
{{- $field := index . 0 }}{{ $path := index . 1 -}}
{{- if hasPrefix "/etc/vestibule/secrets/" $path -}}
{{- if not (include "vestibule.secretsName" $) }}{{ $mistakes = append $mistakes (printf "%s: names %s, and there is no Secret: set secrets.existingSecret or secrets.values" $field $path) }}
{{- else if and (not $.Values.secrets.existingSecret) (not (hasKey $.Values.secrets.values (base $path))) }}{{ $mistakes = append $mistakes (printf "%s: names %s, and secrets.values has no %s" $field $path (base $path)) }}{{ end -}}
{{- else if hasPrefix "/etc/vestibule/config/" $path -}}
{{- if not (hasKey $.Values.extraFiles (base $path)) }}{{ $mistakes = append $mistakes (printf "%s: names %s, and extraFiles has no %s" $field $path (base $path)) }}{{ end -}}
{{- else if not $.Values.extraVolumeMounts }}{{ $mistakes = append $mistakes (printf "%s: names %s, where nothing is mounted: secrets are in /etc/vestibule/secrets, extraFiles in /etc/vestibule/config" $field $path) }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.roleMap" -}}
{{- $mistakes := list -}}
{{- $map := .Values.roleMap -}}
{{- if and $map.document $map.existingConfigMap }}{{ $mistakes = append $mistakes "roleMap.document: stands beside roleMap.existingConfigMap; take one of them out" }}{{ end -}}
{{- if $map.fragments.selector -}}
{{- if not (include "vestibule.roleMapName" .) }}{{ $mistakes = append $mistakes "roleMap.fragments.selector: needs roleMap.document or roleMap.existingConfigMap, into which they are merged" }}
{{- else if not $map.watch }}{{ $mistakes = append $mistakes "roleMap.fragments.selector: needs roleMap.watch; a mounted role map has no fragments" }}{{ end -}}
{{- end -}}
{{- if and $map.namespace (not $map.existingConfigMap) }}{{ $mistakes = append $mistakes "roleMap.namespace: means something with roleMap.existingConfigMap only; the chart's own stands in the release's namespace" }}{{ end -}}
{{- if and $map.namespace (not $map.watch) }}{{ $mistakes = append $mistakes "roleMap.namespace: needs roleMap.watch; a ConfigMap of another namespace can't be mounted" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{- define "vestibule.mistakes.gateway" -}}
{{- $mistakes := list -}}
{{- $upstream := include "vestibule.upstreamService" . -}}
{{- if and .Values.ingress.enabled (not $upstream) }}{{ $mistakes = append $mistakes "upstream.serviceName: is required with ingress.enabled: where allowed requests go" }}{{ end -}}
{{- if and (ne .Values.mode "sidecar") (has $upstream (list (printf "%s-check" (include "vestibule.fullname" .)) (printf "%s-admin" (include "vestibule.fullname" .)))) }}{{ $mistakes = append $mistakes (printf "upstream.serviceName: %s is one of Vestibule's own Services, and no gateway may lead to it" $upstream) }}{{ end -}}
{{- if .Values.ingress.enabled -}}
{{- $own := "nginx.ingress.kubernetes.io/" -}}
{{- $check := include "vestibule.ingress.check" . | fromYaml -}}
{{- range $field := list "annotations" "upstreamAnnotations" -}}
{{- range $name, $value := pick (get $.Values.ingress $field) (printf "%sauth-url" $own) (printf "%sauth-response-headers" $own) (printf "%sauth-signin" $own) (printf "%sauth-snippet" $own) -}}
{{- $url := get $check (printf "%sauth-url" $own) -}}
{{- $narrows := and (eq $field "upstreamAnnotations") (eq $name (printf "%sauth-url" $own)) (hasPrefix $url $value) (regexMatch "^(&allow_(roles|teams)=[^&+#\\s]*)+$" (trimPrefix $url $value)) -}}
{{- if not $narrows }}{{ $mistakes = append $mistakes (printf "ingress.%s.%s: is the chart's own; of it, upstreamAnnotations may add allow_roles and allow_teams to auth-url: %s&allow_roles=…" $field $name $url) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range .Values.ingress.programPaths -}}
{{- if has (trimSuffix "/" .) (list "" "/sso" "/vestibule" "/onboarding") }}{{ $mistakes = append $mistakes (printf "ingress.programPaths: %s has an Ingress already" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- if not .Values.httpRoute.parentRefs }}{{ $mistakes = append $mistakes "httpRoute.parentRefs: is required: the Gateways that serve the route" }}{{ end -}}
{{- if and .Values.httpRoute.upstreamFilters (not $upstream) }}{{ $mistakes = append $mistakes "upstream.serviceName: is required with httpRoute.upstreamFilters: where allowed requests go" }}{{ end -}}
{{- end -}}
{{- toJson $mistakes -}}
{{- end -}}

{{/* The check listens on the pod's address in every mode, beside an upstream too: gateway and kubelet come from outside. */}}
{{- define "vestibule.mistakes.network" -}}
{{- $mistakes := list -}}
{{- $policy := .Values.networkPolicy -}}
{{- if include "vestibule.guarded" . -}}
{{- if $policy.leaveCheckOpen }}{{ $mistakes = append $mistakes "networkPolicy.leaveCheckOpen: stands beside networkPolicy.gateway, to which the chart closes the check; take one of them out" }}{{ end -}}
{{- else if and (include "vestibule.givesCredentials" .) (not $policy.leaveCheckOpen) -}}
{{- $field := empty $policy.enabled | ternary "networkPolicy.enabled: must be true" "networkPolicy.gateway: is required" -}}
{{- $mistakes = append $mistakes (printf "%s with config.upstream_credential.static: the check gives the upstream's credential to whoever asks, and without a NetworkPolicy every pod of the cluster can; name the gateway, or set networkPolicy.leaveCheckOpen: true if something else keeps all others away" $field) -}}
{{- end -}}
{{- if and $policy.upstream.podLabels (eq .Values.mode "sidecar") }}{{ $mistakes = append $mistakes "networkPolicy.upstream.podLabels: means nothing with mode: sidecar, whose pods are the upstream's" }}{{ end -}}
{{- toJson $mistakes -}}
{{- end -}}
